// Package e2e holds the tests of the whole service. They build the program, run
// it as a process of its own on free ports, on the disk and in front of MinIO,
// and talk to it as clients do: over HTTP, over bare sockets where a client's
// library would hide what happens, with curl, Node and aws where they are
// installed. Nothing in here knows more of the service than its clients and its
// operators can.
//
// Every server in here logs at debug level, and when it ends its log is searched
// for what must not be in it: every signature, secret and token that the test
// has seen, the paths of its data, and the keys of its blobs (watch_test.go).
//
// The long forms of the tests stand behind the build tag soak, and what is
// measured rather than tested behind bench.
package e2e
