package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync/atomic"

	"sallyport/registry"
)

// Body is a request's body: its content, without any framing.
type Body interface {
	io.Reader
	// Interrupt ends a Read that another goroutine waits in, and every later
	// one. It may be called more than once and after the request has ended.
	Interrupt()
}

// TrailerBody is a Body that ends in trailers.
type TrailerBody interface {
	Body
	// Trailer returns a trailer by its lower-case name once Read gave io.EOF.
	Trailer(name string) (string, bool)
}

// headSize is how much of the head is kept to tell the content's type.
const headSize = 4096

// intake reads a body once: it counts and hashes what passes, and at the end has
// the last word on whether the bytes are the declared ones. A blob.Store asks for
// that end before it completes a blob. It keeps no byte but the head.
type intake struct {
	body Body
	want expected
	size int64 // declared, bytes

	md5    md5sum // nil after close
	md5Sum []byte // from close on
	sha256 hash.Hash
	extra  hash.Hash // of want.algorithm, unless sha256 does
	head   []byte    // nil unless wanted
	// tee is what inspects the body on its way; nil if nobody does.
	tee     io.WriteCloser
	decided bool // the tee wants no more: the body will not be published
	n       atomic.Int64
	err     error // sticky
}

// newIntake returns an intake that must be closed after its last Read.
func newIntake(body Body, want expected, size int64, ls *lanes) *intake {
	in := &intake{body: body, want: want, size: size, md5: ls.take(size), sha256: sha256.New()}
	if a := want.algorithm(); a != "sha256" {
		in.extra = Checksum(a)
	}
	return in
}

// keepHead makes the intake remember the first bytes.
func (in *intake) keepHead() { in.head = make([]byte, 0, min(in.size, headSize)) }

// Interrupt lets a store end a Read that waits for the client, or for an engine.
func (in *intake) Interrupt() {
	in.body.Interrupt()
	if in.tee != nil {
		in.tee.Close()
	}
}

// Read implements io.Reader.
func (in *intake) Read(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	n, err := in.body.Read(p)
	if n > 0 {
		in.n.Add(int64(n))
		in.hash(p[:n])
	}
	if bad := in.tell(p[:n]); bad != nil {
		in.err = bad
		return n, bad
	}
	if err == io.EOF && in.n.Load() == in.size {
		if bad := in.verify(); bad != nil {
			err = bad
		}
	}
	in.err = err
	return n, err
}

func (in *intake) hash(p []byte) {
	if room := cap(in.head) - len(in.head); room > 0 {
		in.head = append(in.head, p[:min(room, len(p))]...)
	}
	in.sha256.Write(p)
	if in.extra != nil {
		in.extra.Write(p)
	}
	in.md5.write(p)
}

// errDecided ends a body that inspection has heard enough of.
var errDecided = errors.New("pipeline: inspection has decided")

// tell gives the tee what was read.
func (in *intake) tell(p []byte) error {
	if in.tee == nil || len(p) == 0 {
		return nil
	}
	if _, err := in.tee.Write(p); err != nil {
		in.decided = true
		return errDecided
	}
	return nil
}

// close ends the hashing. The digests can be read then, and no more be written.
func (in *intake) close() {
	if in.md5 != nil {
		in.md5Sum = in.md5.finish()
		in.md5 = nil
	}
}

// MD5 implements blob.MD5er.
func (in *intake) MD5() []byte { return in.md5Sum }

// verify compares the digests of a body that is as long as declared; of another
// one, its length is what is wrong.
func (in *intake) verify() error {
	in.close()
	sha := in.sha256.Sum(nil)
	switch {
	case in.want.payload != nil && !bytes.Equal(sha, in.want.payload):
		return ErrPayloadMismatch
	case in.want.sha256 != nil && !bytes.Equal(sha, in.want.sha256):
		return fmt.Errorf("%w: sha256 of the session", ErrBadDigest)
	case in.want.md5 != nil && !bytes.Equal(in.md5Sum, in.want.md5):
		return fmt.Errorf("%w: md5", ErrBadDigest)
	case in.want.checksum == "":
		return nil
	}
	want, err := in.declaredSum()
	if err != nil {
		return err
	}
	if !bytes.Equal(in.checksum(), want) {
		return &ChecksumError{Algorithm: in.want.checksum}
	}
	return nil
}

// declaredSum returns the checksum from the header, or now that the body has
// ended, from its trailer.
func (in *intake) declaredSum() ([]byte, error) {
	if in.want.trailer == "" {
		return in.want.sum, nil
	}
	tb, ok := in.body.(TrailerBody)
	if !ok {
		return nil, fmt.Errorf("%w: the body has no trailers", ErrInvalidDigest)
	}
	value, ok := tb.Trailer(in.want.trailer)
	if !ok {
		return nil, fmt.Errorf("%w: the announced trailer is missing", ErrIncompleteBody)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(value)
	if err != nil || len(b) != checksumSize(in.want.checksum) {
		return nil, fmt.Errorf("%w: trailer", ErrInvalidDigest)
	}
	return b, nil
}

func (in *intake) checksum() []byte {
	if in.extra != nil {
		return in.extra.Sum(nil)
	}
	return in.sha256.Sum(nil)
}

// stored says what was received. It is valid once the body's end was verified.
func (in *intake) stored() registry.Stored {
	s := registry.Stored{
		Size:   in.n.Load(),
		SHA256: hex.EncodeToString(in.sha256.Sum(nil)),
		MD5:    hex.EncodeToString(in.md5Sum),
	}
	if a := in.want.algorithm(); a != "" {
		s.Checksums = map[string]string{a: base64.StdEncoding.EncodeToString(in.checksum())}
	} else if in.want.sha256 != nil {
		s.Checksums = map[string]string{"sha256": base64.StdEncoding.EncodeToString(in.want.sha256)}
	}
	return s
}
