package icap_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
	"sallyport/scanner/icap"
)

// impostor gives its options as said, and answers a scan with what it is told once that ending of the
// request was read. It then closes the connection.
func impostor(t *testing.T, options, end, answer string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				first := read(conn, "\r\n\r\n")
				if strings.HasPrefix(first, "OPTIONS ") {
					_, _ = io.WriteString(conn, options)
				} else if read(conn, end) != "" {
					_, _ = io.WriteString(conn, answer)
					_, _ = io.Copy(io.Discard, conn)
				}
			}()
		}
	}()
	return "icap://" + listener.Addr().String() + "/service"
}

// read reads until what was read ends so. It returns "" if that never comes.
func read(r io.Reader, end string) string {
	var all bytes.Buffer
	for b := make([]byte, 1); !strings.HasSuffix(all.String(), end); all.Write(b) {
		if _, err := r.Read(b); err != nil {
			return ""
		}
	}
	return all.String()
}

const (
	fine    = "ICAP/1.0 200 OK\r\nMethods: REQMOD\r\nISTag: \"a b\"\r\nEncapsulated: null-body=0\r\n\r\n"
	allEnd  = "0\r\n\r\n"
	content = "content"
)

func TestGarbage(t *testing.T) {
	for name, test := range map[string]struct{ options, answer string }{
		"hangs up":            {"", ""},
		"speaks HTTP":         {"HTTP/1.1 400 Bad Request\r\n\r\n", ""},
		"has no end":          {"ICAP/1.0 200 OK\r\nMethods: " + strings.Repeat("x", 100_000), ""},
		"another version":     {strings.Replace(fine, "1.0", "2.0", 1), ""},
		"no such service":     {"ICAP/1.0 404 Not found\r\n\r\n", ""},
		"no method":           {strings.Replace(fine, "REQMOD", "OPTIONS", 1), ""},
		"a bad preview":       {strings.Replace(fine, "ISTag", "Preview: -5\r\nISTag", 1), ""},
		"a header like none":  {"ICAP/1.0 200 OK\r\nnonsense\r\n\r\n", ""},
		"answers garbage":     {fine, "perhaps\r\n\r\n"},
		"answers in HTTP":     {fine, "HTTP/1.1 204 No Content\r\n\r\n"},
		"wants more":          {fine, "ICAP/1.0 100 Continue\r\n\r\n"},
		"answers with no end": {fine, "ICAP/1.0 204 OK\r\nX: " + strings.Repeat("x", 100_000)},
		"a strange status":    {fine, "ICAP/1.0 299 Perhaps\r\n\r\n"},
		"always overloaded":   {fine, "ICAP/1.0 503 Overloaded\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			e := engine(t, impostor(t, test.options, allEnd, test.answer), nil)
			if got, err := scan(t, e, []byte(content)); !errors.Is(err, scanner.ErrDown) {
				t.Errorf("%+v, %v, want down", got, err)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	reply := func(head, inner string) string { return "ICAP/1.0 200 OK\r\n" + head + "\r\n\r\n" + inner }
	const back = "Encapsulated: req-hdr=0, req-body=9"
	const post = "POST / HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, test := range map[string]struct {
		answer string
		want   scanner.Result
	}{
		"passed":           {"ICAP/1.0 204 OK\r\n\r\n", clean},
		"given back":       {reply(back, post+"7\r\ncontent\r\n0\r\n\r\n"), clean},
		"given back split": {reply(back, post+"3\r\ncon\r\n4\r\ntent\r\n0\r\n\r\n"), clean},
		"changed":          {reply(back, post+"7\r\nconTent\r\n0\r\n\r\n"), scanner.Result{Result: registry.VerdictRefused, Reason: icap.ReasonBlocked}},
		"longer":           {reply(back, post+"8\r\ncontent!\r\n0\r\n\r\n"), scanner.Result{Result: registry.VerdictRefused, Reason: icap.ReasonBlocked}},
		"emptied":          {reply("Encapsulated: req-hdr=0, null-body=9", post), scanner.Result{Result: registry.VerdictRefused, Reason: icap.ReasonBlocked}},
		"a page instead":   {reply("Encapsulated: res-hdr=0, res-body=9", "HTTP/1.1 403 No\r\n\r\n0\r\n\r\n"), scanner.Result{Result: registry.VerdictRefused, Reason: icap.ReasonBlocked}},
		"nothing instead":  {reply("Encapsulated: null-body=0", ""), scanner.Result{Result: registry.VerdictRefused, Reason: icap.ReasonBlocked}},
		"a threat":         {reply("X-Infection-Found: Type=0; Resolution=2; Threat=A b;", ""), scanner.Result{Result: registry.VerdictInfected, Reason: icap.ReasonMalware, Signature: "A b"}},
		"an id":            {reply("X-Virus-ID: A\xe9", ""), scanner.Result{Result: registry.VerdictInfected, Reason: icap.ReasonMalware, Signature: "A?"}},
		"a violation":      {reply("X-Violations-Found: 1\r\n\tfile\r\n\tA\r\n\t0\r\n\t0", ""), scanner.Result{Result: registry.VerdictInfected, Reason: icap.ReasonMalware, Signature: "A"}},
		"no violation":     {"ICAP/1.0 204 OK\r\nX-Violations-Found: 0\r\n\r\n", clean},
		"a nameless one":   {"ICAP/1.0 204 OK\r\nX-Infection-Found: yes\r\n\r\n", scanner.Result{Result: registry.VerdictInfected, Reason: icap.ReasonMalware}},
	} {
		t.Run(name, func(t *testing.T) {
			mustScan(t, engine(t, impostor(t, fine, allEnd, test.answer), nil), []byte(content), test.want)
		})
	}
}

// TestATry: the service had all of the content and did not come back, perhaps because of
// it.
func TestATry(t *testing.T) {
	e := engine(t, impostor(t, fine, allEnd, ""), func(c *icap.Config) { c.Patience, c.Timeout = 50*time.Millisecond, 120*time.Millisecond })
	start := time.Now()
	got, err := scan(t, e, []byte(content))
	if err == nil || errors.Is(err, scanner.ErrDown) {
		t.Errorf("%+v, %v, want a try", got, err)
	}
	if took := time.Since(start); took < 120*time.Millisecond {
		t.Errorf("it was given up after %s", took)
	}
}
