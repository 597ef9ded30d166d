package e2e_test

import (
	"bytes"
	"fmt"
	"io"
)

// pattern is a body that takes no memory: a block over and over.
type pattern struct{ left, at int64 }

var patternBlock = noise(5, 1<<20+1)

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	block := patternBlock[p.at%int64(len(patternBlock)):]
	n := copy(b[:min(int64(len(b)), p.left)], block)
	p.left, p.at = p.left-int64(n), p.at+int64(n)
	return n, nil
}

// compare fetches a URL and holds what comes against what should.
func (s *Server) compare(target string, want io.Reader) error {
	resp, err := s.web.Get(target)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, expected := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(resp.Body, got)
		m, _ := io.ReadFull(want, expected) // its end shows in the comparison
		switch {
		case !bytes.Equal(got[:n], expected[:m]):
			return fmt.Errorf("other bytes came back, %d for %d", n, m)
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return nil
		case err != nil:
			return err
		}
	}
}
