package clamd

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
)

// Finding is what a probe found out.
type Finding struct {
	Check string
	// Problem is what is wrong, "" if nothing: then clamd may say OK to what it has not
	// looked at.
	Problem string
	// Notice is what an operator should know although nothing is wrong.
	Notice string
}

// Probe finds out whether clamd has at least our limits, with archives that have EICAR's test
// file where clamd sees it only if it has. They are made as they are sent; clamd unpacks some hundred
// megabytes.
func (e *Engine) Probe(ctx context.Context) ([]Finding, error) {
	l := e.cfg.Limits
	plain, err := e.probe(ctx, io.NopCloser(bytes.NewReader(EICAR())))
	if err != nil {
		return nil, err
	}
	if plain.Result != registry.VerdictInfected {
		return []Finding{{Check: "signatures", Problem: "EICAR's test file is not found: the database is empty or of no use, and limits cannot be probed"}}, nil
	}
	findings := []Finding{{Check: "signatures"}}
	for _, p := range []struct {
		check, setting string
		limit          int64
		content        func(io.Writer) error
	}{
		{"stream", "StreamMaxLength", l.stream(), func(w io.Writer) error { return padded(w, l.stream()) }},
		{"file size", "MaxFileSize", l.MaxFileSize, func(w io.Writer) error { return packed(w, min(l.MaxFileSize, mostBytes)) }},
		{"scan size", "MaxScanSize", l.MaxScanSize, func(w io.Writer) error { return crowded(w, l) }},
		{"recursion", "MaxRecursion", int64(l.MaxRecursion), func(w io.Writer) error { return nested(w, l.MaxRecursion-2) }},
	} {
		result, err := e.probe(ctx, made(p.content))
		if err != nil {
			return findings, fmt.Errorf("%s: %w", p.check, err)
		}
		f := Finding{Check: p.check}
		if result.Result != registry.VerdictInfected {
			f.Problem = fmt.Sprintf("clamd's %s is less than the %d of the configuration", p.setting, p.limit)
		}
		findings = append(findings, f)
	}
	deep, err := e.probe(ctx, made(func(w io.Writer) error { return nested(w, l.MaxRecursion+2) }))
	if err != nil {
		return findings, fmt.Errorf("limits: %w", err)
	}
	f := Finding{Check: "alerts"}
	if deep.Result == registry.VerdictClean {
		f.Notice = "AlertExceedsMax is off: clamd says OK to what it skips in documents and mails"
	}
	return append(findings, f), nil
}

// probe sends r whatever our own limits say, and closes it.
func (e *Engine) probe(ctx context.Context, r io.ReadCloser) (scanner.Result, error) {
	defer r.Close()
	s, err := e.pool.take(ctx)
	if err != nil {
		return scanner.Result{}, err
	}
	defer e.pool.give(s)
	answer, err := s.instream(ctx, r, math.MaxInt64)
	if err == errTooLarge {
		return e.tooLarge(), nil
	}
	if err != nil {
		return scanner.Result{}, err
	}
	return judge(answer)
}

// made is what f writes, while it is read.
func made(f func(io.Writer) error) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(f(w)) }()
	return r
}

const (
	block = 512        // of a tar, bytes
	small = 20 * block // the least a tar has
)

// padded writes a tar of size bytes, small at least, whose first member is EICAR's test
// file: it is found by whoever looks at the tar at all, even by a signature of the file as a whole. The zeros
// make it worth packing: of EICAR's file alone a zip would hold the very bytes.
func padded(w io.Writer, size int64) error {
	t := tar.NewWriter(w)
	if err := t.WriteHeader(&tar.Header{Name: "eicar.com", Mode: 0o600, Size: int64(len(EICAR())), ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	if _, err := t.Write(EICAR()); err != nil {
		return err
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.CopyN(w, zeros{}, max(small, size)-2*block)
	return err
}

// packed writes a gzip whose member is that tar.
func packed(w io.Writer, size int64) error {
	z := gzip.NewWriter(w)
	if err := padded(z, size); err != nil {
		return err
	}
	return z.Close()
}

// slack is what is left of the scan size for the archive itself and for what clamd makes
// of its members, bytes.
const slack = 4 << 20

// crowded writes a zip whose last member is that tar, and whose others have as many
// bytes as may be scanned.
func crowded(w io.Writer, l Limits) error {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	one := max(1, min(l.MaxFileSize, mostBytes)/2)
	for i, left := 0, l.MaxScanSize-slack; left > 0; i++ {
		n := min(one, left)
		left -= n
		member, err := z.Create(fmt.Sprintf("%d.bin", i))
		if err != nil {
			return err
		}
		// Each has a beginning of its own, since clamd knows again what it has looked at.
		if _, err := io.Copy(member, io.LimitReader(io.MultiReader(strings.NewReader(fmt.Sprint(i)), zeros{}), n)); err != nil {
			return err
		}
	}
	member, err := z.Create("last.tar")
	if err != nil {
		return err
	}
	if err := padded(member, small); err != nil {
		return err
	}
	return z.Close()
}

// nested writes the tar in so many gzips in each other.
func nested(w io.Writer, depth int) error {
	if depth <= 0 {
		return padded(w, small)
	}
	z := gzip.NewWriter(w)
	if err := nested(z, depth-1); err != nil {
		return err
	}
	return z.Close()
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
