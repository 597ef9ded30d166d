package filetype_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/scanner/filetype"
	"sallyport/scanner/sandbox"
)

// TestMain makes the test binary its own children.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sandbox" {
		os.Exit(sandbox.Main(map[string]sandbox.Job{filetype.JobName: filetype.Job}))
	}
	os.Exit(m.Run())
}

// TestSandbox has a real child look, again and again.
func TestSandbox(t *testing.T) {
	p := sandbox.NewPool(sandbox.Config{
		Command: []string{"/proc/self/exe", "sandbox"}, Workers: 1, Now: time.Now,
		Limits: sandbox.Limits{Memory: 128 << 20, CPU: 20 * time.Second, Wall: time.Minute},
	})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	bomb := packed(t, "/Filter /FlateDecode", strings.Repeat(" ", 33<<20))
	rows := []struct {
		name    string
		content []byte
		want    string
	}{
		{"text", []byte("text"), "clean"},
		{"png", pngBytes(t), "clean"},
		{"png with html behind it", append(pngBytes(t), script...), "refused polyglot"},
		{"program", windowsProgram(), "refused executable"},
		{"pdf with an object stream that unpacks to 33 MiB", pdfBytes(bomb), "incomplete unreadable_part"},
		{"text again", []byte("text"), "clean"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			in := input(t, "", row.content)
			if got := verdict(t, p, in); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}
