package diskblob

import (
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"

	"sallyport/registry/blob"
)

// heldMax is the length in bytes up to which a range is read when it is opened.
// To keep the file open for the caller to read or send it would cost more
// system calls than there are pages to copy.
const heldMax = 8 << 10

// held is a short range of a blob in memory.
type held struct {
	s    *Store
	buf  *[heldMax]byte // from s.short; nil once closed
	info blob.Info
	n    int64
	at   int64
}

// hold reads n bytes, at most heldMax, of an open file from off.
func (s *Store) hold(fd int, info blob.Info, off, n int64) (blob.Reader, error) {
	h := &held{s: s, buf: s.short.Get().(*[heldMax]byte), info: info, n: n}
	for got := int64(0); got < n; {
		var m int
		err := retry(func() (err error) {
			m, err = unix.Pread(fd, h.buf[got:n], off+got)
			return err
		})
		if err == nil && m == 0 {
			err = io.ErrUnexpectedEOF // the file was cut after it was opened
		}
		if err != nil {
			h.Close()
			return nil, failed("read", err)
		}
		got += int64(m)
	}
	return h, nil
}

func (h *held) Read(p []byte) (int, error) {
	switch {
	case h.buf == nil:
		return 0, fmt.Errorf("diskblob: read: %w", fs.ErrClosed)
	case h.at == h.n:
		return 0, io.EOF
	}
	n := copy(p, h.buf[h.at:h.n])
	h.at += int64(n)
	return n, nil
}

// Close gives the memory back.
func (h *held) Close() error {
	if h.buf != nil {
		h.s.short.Put(h.buf)
		h.buf = nil
	}
	return nil
}

func (h *held) Info() blob.Info { return h.info }
func (h *held) Len() int64      { return h.n }
