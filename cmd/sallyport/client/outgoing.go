package client

import (
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"sync"
)

// errSource marks a failure of the file being sent: trying again is pointless.
var errSource = errors.New("the file changed or could not be read while it was sent")

// errStopped ends reads of a body whose attempt is over.
var errStopped = errors.New("the attempt is over")

// outgoing is the body of one attempt: it hashes and counts a run of a file on its
// way out. net/http may still read it after the request has been answered; once
// stopped it touches neither file nor caller any more.
type outgoing struct {
	mu       sync.Mutex // protects the fields below
	r        io.Reader
	sum      hash.Hash
	left     int64
	sent     int64
	progress func(sent int64)
	stopped  bool
}

func newOutgoing(r io.ReaderAt, off, size int64, sum hash.Hash, progress func(int64)) *outgoing {
	return &outgoing{r: io.NewSectionReader(r, off, size), sum: sum, left: size, progress: progress}
}

// Read implements io.Reader.
func (b *outgoing) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.stopped:
		return 0, errStopped
	case b.left == 0:
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.sum.Write(p[:n])
	b.left -= int64(n)
	b.sent += int64(n)
	if b.progress != nil {
		b.progress(b.sent)
	}
	if err != nil && b.left > 0 {
		return n, errors.Join(errSource, err)
	}
	return n, err
}

// stop ends the attempt.
func (b *outgoing) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
}

// digest is the hexadecimal sum of all bytes; without all of them there is none.
func (b *outgoing) digest() (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left > 0 {
		return "", errSource
	}
	return hex.EncodeToString(b.sum.Sum(nil)), nil
}
