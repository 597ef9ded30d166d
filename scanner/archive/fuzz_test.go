package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io"
	"testing"

	"sallyport/registry"
	"sallyport/scanner/archive"
)

// FuzzScan judges anything. It never fails over what content says, never panics, stays
// within its limits; and what it calls clean has been looked at whole: every member
// that the standard library's readers find in it was given to the malware engine.
func FuzzScan(f *testing.F) {
	for _, whole := range archives(f, hello) {
		f.Add(whole)
	}
	for _, seed := range [][]byte{
		nil, bzipped(f), overlapQuoted(), sparse(1 << 30), nest(f, 3, []byte(hello)), linked(f, "a", "../b"),
		append([]byte("MZ prefix"), zipped(f, file{"a", hello})...), append(tarred(f, file{"a", hello}), tarred(f, file{"b", hello})...),
		withMethod(f, 0, 1, "a", hello, []byte(hello)), one(hello, func(l, c *rawHeader) { l.name = "b" }),
		append(gzipped(f, []byte(hello)), gzipped(f, []byte("more"))...), []byte("Rar!\x1a\x07\x01\x00"),
	} {
		f.Add(seed)
	}
	rules := registry.ArchiveRules{MaxDepth: 4, MaxEntries: 500, MaxBytes: 8 << 20}
	f.Fuzz(func(t *testing.T, content []byte) {
		seen := &finder{}
		in := input(t, content)
		in.Rules.Archive = rules
		r := judge(t, archive.New(config(t, seen)), in)
		if seen.size > rules.MaxBytes {
			t.Fatalf("%d bytes were unpacked", seen.size)
		}
		if r.Result == registry.VerdictClean {
			eachZip(content, seen, t)
			eachTar(content, seen, t)
		}
	})
}

func eachZip(content []byte, seen *finder, t *testing.T) {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return
	}
	for _, f := range z.File {
		if !f.Mode().IsRegular() {
			continue
		}
		r, err := f.Open()
		if err != nil {
			continue
		}
		if b, err := io.ReadAll(r); err == nil && len(b) > 0 && !seen.saw(string(b)) {
			t.Fatalf("clean, but %q of the zip was not looked at", f.Name)
		}
	}
}

func eachTar(content []byte, seen *finder, t *testing.T) {
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := r.Next()
		if err != nil {
			return
		}
		if b, err := io.ReadAll(r); err == nil && len(b) > 0 && !seen.saw(string(b)) {
			t.Fatalf("clean, but %q of the tar was not looked at", h.Name)
		}
	}
}
