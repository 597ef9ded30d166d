//go:build bench && linux

package bench

import (
	"bytes"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const middling = 1 << 20

// durability says whose PUT survives a loss of power, as far as their sources
// tell: without it the tables compare different things.
const durability = `  durable before a PUT is answered: sallyport, its bytes, their folder and the ledger;
  minio, the bytes and xl.meta, but not the folders they are renamed into; versitygw, nothing
`

// all starts every server on the disk.
func (b *bench) all(t *testing.T) []server {
	t.Helper()
	return []server{b.startSallyport(t, "sallyport", nil), b.startMinIO(t), b.startVersity(t)}
}

// rankings tell on which rows who is ahead of us.
type rankings map[string]*ranking

func newRankings() rankings { return rankings{"minio": {}, "versitygw": {}} }

func (r rankings) add(l load, results map[string]series) {
	for name, rank := range r {
		rank.add(l, results[name], results["sallyport"])
	}
}

func (r rankings) judge(b *bench, what string) {
	r["minio"].judge(b.report, what+" ahead of MinIO")
	r["versitygw"].judge(b.report, what+" ahead of versitygw")
}

// benchObjects puts and gets whole objects.
func benchObjects(t *testing.T, b *bench) {
	servers := b.all(t)
	b.report.title("Whole objects", storeColumns)
	b.report.printf("%s", durability)
	ahead := newRankings()
	for _, size := range []int64{small, middling} {
		prepare(t, servers, size)
		for _, l := range b.rows(size, smallTime, 1, 16, 64) {
			results := b.takeTurns(t, l, servers, nil)
			b.report.row(l, servers, results)
			ahead.add(l, results)
		}
	}
	ahead.judge(b, "whole objects")
}

// task is one long operation: what goes before it, the part that is timed, and
// what goes after, on one server.
type task struct {
	load
	before func(c *conn, s server) error
	timed  func(c *conn, s server) error
	after  func(c *conn, s server) error
}

// rounds lets every server do the task, in turns.
func (x task) rounds(t *testing.T, b *bench, servers []server) map[string]series {
	t.Helper()
	x.each = x.size == 0
	results := make(map[string]series)
	for round := range b.rounds {
		for i := range servers {
			s := servers[(round+i)%len(servers)]
			if s.missing == "" {
				results[s.name] = append(results[s.name], x.once(t, b, s))
			}
		}
	}
	b.report.row(x.load, servers, results)
	return results
}

func (x task) once(t *testing.T, b *bench, s server) sample {
	t.Helper()
	do := func(c *conn, step func(*conn, server) error) {
		t.Helper()
		if step == nil {
			return
		}
		if err := step(c, s); err != nil {
			t.Fatalf("%s on %s: %v", x.name, s.name, err)
		}
	}
	first := dial(t, s.host)
	do(first, x.before)
	first.Close()
	b.vol.settle(t)
	// Servers close connections that were idle for as long as that may have taken.
	c := dial(t, s.host)
	defer c.Close()
	result := sample{ops: 1, cpu: -s.process.cpu(t)}
	began := time.Now()
	do(c, x.timed)
	result.elapsed = time.Since(began)
	result.cpu += s.process.cpu(t)
	do(c, x.after)
	return result
}

// benchMultipart uploads 64 MiB in parts of 8 MiB, four at a time.
func benchMultipart(t *testing.T, b *bench) {
	servers := b.all(t)
	b.report.title("Multipart uploads", storeColumns)
	b.report.printf("%s", durability)
	body := noise(chunk)
	ahead := newRankings()
	x := task{load: load{name: "64 MiB in parts of 8 MiB", size: large}}
	x.timed = func(c *conn, s server) error {
		u, err := begin(c, "/"+bucket+"/multipart")
		if err != nil {
			return err
		}
		if err := u.send(s, body, 8<<20, 8, 4); err != nil {
			return err
		}
		return u.complete(c)
	}
	ahead.add(x.load, x.rounds(t, b, servers))
	ahead.judge(b, "a multipart upload")
}

// benchCopy copies a large object within a bucket.
func benchCopy(t *testing.T, b *bench) {
	servers := b.all(t)
	size := number(t, "SALLYPORT_BENCH_LARGE", 1<<30) / chunk * chunk
	b.report.title("Copies", storeColumns)
	body := noise(chunk)
	for _, s := range servers {
		if s.missing != "" {
			continue
		}
		c := dial(t, s.host)
		if err := c.do(putRequest("/"+bucket+"/source", body, size)); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		c.Close()
	}
	ahead := newRankings()
	x := task{load: load{name: "CopyObject of " + sizeText(size)}}
	x.timed = func(c *conn, _ server) error {
		return c.do(request{method: "PUT", path: "/" + bucket + "/copy", source: "/" + bucket + "/source", wantStatus: 200, keep: &kept{}})
	}
	x.after = func(c *conn, _ server) error {
		return c.do(request{method: "DELETE", path: "/" + bucket + "/copy", wantStatus: 204, keep: &kept{}})
	}
	ahead.add(x.load, x.rounds(t, b, servers))
	ahead.judge(b, "a copy")
}

// benchComplete completes an upload of many parts of the least size.
func benchComplete(t *testing.T, b *bench) {
	servers := b.all(t)
	parts := int(number(t, "SALLYPORT_BENCH_PARTS", 1000))
	b.report.title("Completions", storeColumns)
	body := noise(chunk)
	uploads := map[string]*upload{}
	ahead := newRankings()
	x := task{load: load{name: fmt.Sprintf("Complete %d parts of 5 MiB", parts)}}
	x.before = func(c *conn, s server) error {
		// The parts, and a copy of them: that is how one of the servers completes.
		b.vol.await(t, 2*int64(parts)*5<<20)
		u, err := begin(c, "/"+bucket+"/completed")
		if err != nil {
			return err
		}
		uploads[s.name] = u
		return u.send(s, body, 5<<20, parts, 8)
	}
	x.timed = func(c *conn, s server) error { return uploads[s.name].complete(c) }
	x.after = func(c *conn, _ server) error {
		return c.do(request{method: "DELETE", path: "/" + bucket + "/completed", wantStatus: 204, keep: &kept{}})
	}
	ahead.add(x.load, x.rounds(t, b, servers))
	ahead.judge(b, "a completion")
}

// upload is a multipart upload that goes on.
type upload struct {
	path, id string
	etags    []string
}

var uploadID = regexp.MustCompile("<UploadId>([^<]+)</UploadId>")

func begin(c *conn, path string) (*upload, error) {
	var answer kept
	if err := c.do(request{method: "POST", path: path, query: "uploads=", wantStatus: 200, keep: &answer}); err != nil {
		return nil, err
	}
	found := uploadID.FindSubmatch(answer.body)
	if found == nil {
		return nil, fmt.Errorf("no upload id in %s", answer.body)
	}
	return &upload{path: path, id: string(found[1])}, nil
}

// send uploads parts, some at a time.
func (u *upload) send(s server, body []byte, size int64, parts, clients int) error {
	u.etags = make([]string, parts)
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, clients)
	for range clients {
		wg.Go(func() {
			c, err := connect(s.host)
			if err != nil {
				failed <- err
				return
			}
			defer c.Close()
			for i := next.Add(1); i <= int64(parts); i = next.Add(1) {
				var answer kept
				part := putRequest(u.path, body, size)
				part.query, part.keep = fmt.Sprintf("partNumber=%d&uploadId=%s", i, u.id), &answer
				if err := c.do(part); err != nil {
					failed <- err
					return
				}
				u.etags[i-1] = answer.etag
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

func (u *upload) complete(c *conn) error {
	var doc bytes.Buffer
	doc.WriteString("<CompleteMultipartUpload>")
	for i, etag := range u.etags {
		fmt.Fprintf(&doc, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, etag)
	}
	doc.WriteString("</CompleteMultipartUpload>")
	return c.do(request{method: "POST", path: u.path, query: "uploadId=" + u.id, chunk: doc.Bytes(), size: int64(doc.Len()),
		wantStatus: http.StatusOK, keep: &kept{}})
}

var (
	nextToken = regexp.MustCompile("<NextContinuationToken>([^<]+)</NextContinuationToken>")
	entry     = []byte("<Contents>")
	folder    = []byte("<CommonPrefixes>")
)

// benchList fills a bucket and walks through it page by page. What a page costs
// in larger buckets is in TestBench/ledger.
func benchList(t *testing.T, b *bench) {
	servers := b.all(t)
	keys := int(number(t, "SALLYPORT_BENCH_KEYS", 100_000))
	b.report.title(fmt.Sprintf("Lists of %d keys, page by page", keys), storeColumns)
	body := noise(1)
	put := load{name: "fill", clients: 64, next: func(_ int, i int64) request {
		return putRequest("/"+bucket+"/"+ledgerKey(scatter(int(i), keys)), body, 1)
	}}
	for _, s := range servers {
		if s.missing == "" {
			put.exactly(t, s, keys)
		}
	}
	ahead := newRankings()
	for _, x := range []task{
		{load: load{name: "all keys"}, timed: func(c *conn, _ server) error { return walk(c, "list-type=2", keys, entry) }},
		{load: load{name: "folders, by delimiter"}, timed: func(c *conn, _ server) error {
			return walk(c, "delimiter=%2F&list-type=2", (keys+999)/1000, folder)
		}},
	} {
		ahead.add(x.load, x.rounds(t, b, servers))
	}
	ahead.judge(b, "a list")
}

// exactly runs the load's requests so many times.
func (l load) exactly(t *testing.T, s server, n int) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, l.clients)
	for client := range l.clients {
		wg.Go(func() {
			c, err := connect(s.host)
			if err != nil {
				failed <- err
				return
			}
			defer c.Close()
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := c.do(l.next(client, i)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	if err := <-failed; err != nil {
		t.Fatalf("%s on %s: %v", l.name, s.name, err)
	}
}

// walk lists to the end and counts what it finds.
func walk(c *conn, query string, want int, of []byte) error {
	found, token := 0, ""
	for {
		full := query
		if token != "" {
			full = "continuation-token=" + url.QueryEscape(token) + "&" + query
		}
		var page kept
		if err := c.do(request{method: "GET", path: "/" + bucket, query: full, wantStatus: http.StatusOK, keep: &page}); err != nil {
			return err
		}
		found += bytes.Count(page.body, of)
		next := nextToken.FindSubmatch(page.body)
		if next == nil {
			break
		}
		token = html.UnescapeString(string(next[1]))
	}
	if found != want {
		return fmt.Errorf("%d entries were listed, want %d", found, want)
	}
	return nil
}
