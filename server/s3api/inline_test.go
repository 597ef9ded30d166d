package s3api_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
	"sallyport/scanner/clamd"
	"sallyport/scanner/clamd/clamdtest"
	"sallyport/scanner/inspect"
)

// opinion is a malware engine that says the same of whatever holds "bad".
type opinion struct {
	result registry.VerdictResult
	err    error
}

func (*opinion) Name() string { return "opinion" }

func (o *opinion) Scan(ctx context.Context, in scanner.Input) (scanner.Result, error) {
	r, err := in.Open(ctx)
	if err != nil {
		return scanner.Result{}, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || !strings.Contains(string(b), "bad") {
		return scanner.Result{Result: registry.VerdictClean}, err
	}
	return scanner.Result{Result: o.result, Reason: "opinion", Signature: "Secret.Signature"}, o.err
}

func inlineStack(t *testing.T, e scanner.Engine) *stack {
	s := newStack(t, func(c *setup) {
		c.judge = scanner.NewInline(scanner.InlineConfig{Panel: scanner.NewPanel(scanner.PanelConfig{
			Inspect: []scanner.Engine{&inspect.Engine{}}, Malware: []scanner.Engine{e}, Now: time.Now})})
	})
	s.bucket("photos")
	s.must(s.pipe.PutProfile(s.ctx(), root, registry.Bucket{
		Name: "unscanned", Intake: registry.IntakeDirect, Scan: registry.ScanRules{Mode: registry.ScanOff}}))
	return s
}

// inlineWrites are the requests that write an object whose content ends in text.
var inlineWrites = map[string]func(s *stack, key, text string) reply{
	"PutObject": func(s *stack, key, text string) reply {
		return s.do(call{method: "PUT", path: "/photos/" + key, body: text})
	},
	"PostObject": func(s *stack, key, text string) reply {
		p := anyKey(key)
		p.file = text
		return s.post(p)
	},
	"CompleteMultipartUpload": func(s *stack, key, text string) reply {
		m := s.multipart("/photos/"+key, nil)
		return s.do(m.call("POST", "", listed(1, m.put(1, []byte(text)))))
	},
	"CopyObject": func(s *stack, key, text string) reply {
		s.ok("PUT", "/unscanned/"+key, text, nil)
		return s.copyTo("/photos/"+key, "/unscanned/"+key)
	},
}

// TestInlineAnswers: what is found in a write is told, and nothing of it is kept.
func TestInlineAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		says   opinion
		status int
		code   string
	}{
		"infected":   {opinion{registry.VerdictInfected, nil}, 400, "MalwareDetected"},
		"refused":    {opinion{registry.VerdictRefused, nil}, 400, "ContentRefused"},
		"incomplete": {opinion{registry.VerdictIncomplete, nil}, 400, "ScanIncomplete"},
		"down":       {opinion{"", scanner.ErrDown}, 503, "SlowDown"},
		"error":      {opinion{"", errors.New("clamd said something odd")}, 503, "SlowDown"},
	} {
		t.Run(name, func(t *testing.T) {
			for op, write := range inlineWrites {
				t.Run(op, func(t *testing.T) {
					s := inlineStack(t, &test.says)
					r := write(s, op, "this is bad")
					e := r.want(t, test.status, test.code)
					if strings.Contains(string(r.body), "Secret.Signature") || e.Message == "" {
						t.Errorf("the answer: %s", r.body)
					}
					s.do(call{method: "GET", path: "/photos/" + op}).want(t, 404, "NoSuchKey")
					if r := write(s, op, "this is good"); r.status/100 != 2 {
						t.Errorf("good content: %d %s", r.status, r.body)
					}
				})
			}
		})
	}
}

// TestEICAR goes through the port with ClamAV's own daemon behind it.
func TestEICAR(t *testing.T) {
	daemon := clamdtest.Start(t)
	e, err := clamd.New(clamd.Config{Address: daemon.Unix, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := inlineStack(t, e)
	for op, write := range inlineWrites {
		write(s, op, string(clamd.EICAR())).want(t, 400, "MalwareDetected")
		s.do(call{method: "GET", path: "/photos/" + op}).want(t, 404, "NoSuchKey")
	}
	daemon.Kill()
	s.do(call{method: "PUT", path: "/photos/k", body: "clean"}).want(t, 503, "SlowDown")
	daemon.Start()
	s.ok("PUT", "/photos/k", "clean", nil)
}
