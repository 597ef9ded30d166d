package main

import (
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport/client"
)

func TestLocalName(t *testing.T) {
	for given, want := range map[string]string{
		"report.pdf":              "report.pdf",
		"é ü.txt":                 "é ü.txt",
		"../../etc/passwd":        "passwd",
		`C:\temp\x.txt`:           "x.txt",
		"/":                       "obj_1",
		"..":                      "obj_1",
		".bashrc":                 "obj_1",
		"dir/.ssh":                "obj_1",
		"-rf":                     "obj_1",
		"a\nb":                    "obj_1",
		"":                        "obj_1",
		strings.Repeat("a", 1000): "obj_1",
	} {
		if got := localName(client.Object{ObjectID: "obj_1", Filename: given}); got != want {
			t.Errorf("%q is saved as %q, want %q", given, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[31mb\u202ec\rd é"); strings.ContainsAny(got, "\x1b\u202e\r") || !strings.HasSuffix(got, "d é") {
		t.Errorf("%q", got)
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 20: "5.0 MiB", 1 << 62: "4.0 EiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestProgress(t *testing.T) {
	now := time.Unix(0, 0)
	var drawn strings.Builder
	p := &progress{w: &drawn, now: func() time.Time { return now }, name: "a.bin", total: 4096, start: now}
	p.update(1024)
	p.update(1500) // too soon to be drawn
	now = now.Add(2 * time.Second)
	p.update(2048)
	p.update(4096) // the end is always drawn
	p.clear()
	got := drawn.String()
	if strings.Count(got, "a.bin") != 3 {
		t.Errorf("drawn %d times: %q", strings.Count(got, "a.bin"), got)
	}
	for _, want := range []string{" 25 %", " 50 %  2.0 KiB of 4.0 KiB  1.0 KiB/s  2s left", "100 %"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if empty := (&progress{name: "e", total: 0}).line(0, 0); !strings.Contains(empty, "100 %") {
		t.Errorf("an empty file shows %q", empty)
	}
}

// A name that other people chose stays in its own cell of a list.
func TestTableCells(t *testing.T) {
	var out strings.Builder
	a := &app{out: &out}
	if err := a.table(nil, "NAME\tSTATUS", [][]string{{"x\tactive\nother\x1b[2J\u202e\u0085\u009b1m", "revoked"}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 2 || strings.ContainsAny(got, "\t\x1b\u202e\u0085\u009b") || !strings.HasSuffix(got, "  revoked\n") {
		t.Errorf("%q", got)
	}
}
