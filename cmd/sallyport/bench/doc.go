// Package bench measures the server against its aims and beside other servers
// of S3, all in one run on one machine: "make bench".
//
// It has tests only, behind the build tag "bench", and needs Linux. Each part is
// a subtest and can be run alone:
//
//	go test -tags bench -count 1 -v -run TestBench/disk ./cmd/sallyport/bench
//
// The ledger of ten million objects takes most of an hour of it. TestBench/scanning
// needs clamd (apt-get install clamav-daemon).
//
// Servers are real processes on the loopback. They take turns in short rounds,
// and a ratio is the median of the ratios within each round, so that whatever
// else slows the machine slows all of them. Processor time is that of the
// server's process alone, from /proc.
//
// As root everything runs on an ext4 file system of its own, in an unlinked
// image on a loop device and in a mount namespace that ends with the run. Without
// that right the temporary directory has to do, and the report says so.
//
//	SALLYPORT_BENCH_OBJECTS  objects in the ledgers of TestBench/ledger (1000000,10000000)
//	SALLYPORT_BENCH_BODY     bytes per client in TestBench/memory (1073741824)
//	SALLYPORT_BENCH_ROUNDS   rounds per row (5)
//	SALLYPORT_BENCH_LARGE    bytes of the object that TestBench/copy copies (1073741824)
//	SALLYPORT_BENCH_PARTS    parts in TestBench/complete (1000)
//	SALLYPORT_BENCH_KEYS     keys in TestBench/list (100000)
//	SALLYPORT_BENCH_QUEUE    objects that TestBench/scanning drains (10000)
//	SALLYPORT_BENCH_ROWS     which rows of objects, a regular expression: "^GET 4 KiB"
package bench
