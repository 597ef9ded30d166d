package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"time"
)

const (
	// MaxChunkSize bounds one chunk of an aws-chunked body, as MinIO does. AWS
	// names no limit; SDKs send 64 KiB to 1 MiB.
	MaxChunkSize = 16 << 20

	// maxChunkLine bounds a chunk's header line: 16 hex digits,
	// ";chunk-signature=" and 64 more are 97.
	maxChunkLine = 128

	// chunkBuffer is what is read ahead to find the lines; the data go past it
	// where the caller's buffer is larger.
	chunkBuffer = 4096
)

// ChunkConfig says what an aws-chunked body must be.
type ChunkConfig struct {
	Kind PayloadKind // one of the streaming kinds

	// Key, Seed and Time are those of the request: its signing key, its proved
	// signature ([Claim.Signature]) and [Claim.Time]. The unsigned kind needs
	// none of them.
	Key  *SigningKey
	Seed []byte
	Time time.Time

	// DecodedLength is how many bytes the chunks must hold ([Claim.DecodedLength]).
	DecodedLength int64

	// Trailers are the lower-case names that x-amz-trailer announced. Each must
	// come, and no other. The kind without trailer takes none.
	Trailers []string
}

// ChunkReader decodes an aws-chunked body: Read gives the bytes of the object.
//
// A signed chunk is handed out before its signature is known to be right, for
// that stands for the whole chunk and a chunk may be 16 MiB: nothing that was
// read may be acted on before io.EOF, and any other error takes back all of it.
// io.EOF comes only after the final chunk, the trailer, the last line end and
// the end of src, so that a connection can be used again; bytes after the end
// of the framing are ChunkMalformed. A src that ends early gives an error that
// is IncompleteBody and io.ErrUnexpectedEOF. An error of src is passed on as it
// is. Errors stay. An empty object may come without any framing.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
type ChunkReader struct {
	cfg ChunkConfig
	src *bufio.Reader
	err error

	left       int64 // bytes of the current chunk not yet read
	undeclared int64 // bytes of DecodedLength that no chunk has announced yet

	hash     hash.Hash // of the current chunk; nil when unsigned
	sum      [sha256.Size]byte
	claimed  [2 * sha256.Size]byte // signature the current chunk came with
	previous [2 * sha256.Size]byte // signature before it
	toSign   []byte

	trailers []Field
}

// NewChunkReader returns a ChunkReader of src, which must end where the body
// of the request ends. A configuration that cannot be right is reported by the
// first Read.
func NewChunkReader(src io.Reader, cfg ChunkConfig) *ChunkReader {
	c := &ChunkReader{cfg: cfg, src: bufio.NewReaderSize(src, chunkBuffer), undeclared: cfg.DecodedLength}
	switch {
	case !cfg.Kind.Streaming():
		c.err = errors.New("sigv4: chunk reader of a payload that is not streaming")
	case cfg.DecodedLength < 0:
		c.err = refuse(MissingDecodedLength, "")
	case cfg.Kind == PayloadStreamingUnsignedTrailer:
	case cfg.Key == nil || len(cfg.Seed) != len(c.previous):
		c.err = errors.New("sigv4: chunk reader of a signed payload without key or seed")
	default:
		c.hash = sha256.New()
		copy(c.previous[:], cfg.Seed)
	}
	return c
}

// Trailers returns the trailer after io.EOF: lower-case names, trimmed values,
// in the order they came. Nil before.
func (c *ChunkReader) Trailers() []Field {
	if c.err != io.EOF {
		return nil
	}
	return c.trailers
}

// Read implements io.Reader.
func (c *ChunkReader) Read(p []byte) (int, error) {
	for c.err == nil && len(p) > 0 {
		if c.left == 0 {
			c.err = c.advance()
			continue
		}
		n, err := c.src.Read(p[:min(int64(len(p)), c.left)])
		c.left -= int64(n)
		if c.hash != nil {
			c.hash.Write(p[:n])
		}
		switch {
		case err == io.EOF:
			c.err = incomplete("inside a chunk")
		case err != nil:
			c.err = err
		case c.left == 0:
			// At once, so that the last bytes of a chunk with a wrong signature
			// come with the error.
			c.err = c.endChunk()
		}
		if n > 0 {
			return n, c.err
		}
	}
	return 0, c.err
}

// advance reads the next chunk's header and, if it is the final one, all that
// follows: then its result is io.EOF.
func (c *ChunkReader) advance() error {
	if c.cfg.DecodedLength == 0 && len(c.cfg.Trailers) == 0 {
		// minio-go sends an empty object without any framing. There is nothing
		// to prove: its length of 0 is in the signed headers.
		if _, err := c.src.Peek(1); err != nil {
			return err
		}
	}
	size, err := c.readHeader()
	if err != nil {
		return err
	}
	if size > c.undeclared {
		return refuse(DecodedLengthMismatch, "the chunks hold more")
	}
	c.undeclared -= size
	if size > 0 {
		c.left = size
		return nil
	}
	if c.undeclared > 0 {
		return refuse(DecodedLengthMismatch, "the chunks hold less")
	}
	if err := c.checkChunk(); err != nil {
		return err
	}
	if c.cfg.Kind == PayloadStreamingSigned {
		err = c.readCRLF()
	} else {
		err = c.readTrailer()
	}
	if err != nil {
		return err
	}
	switch _, err := c.src.ReadByte(); err {
	case io.EOF:
		return io.EOF
	case nil:
		return refuse(ChunkMalformed, "bytes after the end")
	default:
		return err
	}
}

// readHeader reads "size;chunk-signature=signature" or, unsigned, "size".
func (c *ChunkReader) readHeader() (size int64, err error) {
	line, err := c.readLine(maxChunkLine, ChunkMalformed)
	if err != nil {
		return 0, err
	}
	line, ok := bytes.CutSuffix(line, []byte{'\r'})
	if !ok {
		return 0, refuse(ChunkMalformed, "the header does not end with CRLF")
	}
	digits, extension, extended := bytes.Cut(line, []byte{';'})
	if size, err = parseSize(digits); err != nil {
		return 0, err
	}
	if c.hash == nil {
		if extended {
			return 0, refuse(ChunkMalformed, "an unsigned chunk has an extension")
		}
		return size, nil
	}
	signature, ok := bytes.CutPrefix(extension, []byte("chunk-signature="))
	if !ok || len(signature) != len(c.claimed) {
		return 0, refuse(ChunkMalformed, "a chunk has no signature")
	}
	copy(c.claimed[:], signature)
	return size, nil
}

// parseSize reads a chunk's size. Both cases of hex are in use (.NET writes
// capitals).
func parseSize(digits []byte) (size int64, err error) {
	if len(digits) == 0 || len(digits) > 16 {
		return 0, refuse(ChunkMalformed, "the size is not a hex number")
	}
	for _, d := range digits {
		if !isHex(d) {
			return 0, refuse(ChunkMalformed, "the size is not a hex number")
		}
		if size = size<<4 | int64(unhex(d)); size > MaxChunkSize {
			return 0, refuse(ChunkTooBig, "")
		}
	}
	return size, nil
}

// endChunk checks the chunk whose data were read, and the line end after them.
func (c *ChunkReader) endChunk() error {
	if err := c.checkChunk(); err != nil {
		return err
	}
	return c.readCRLF()
}

// checkChunk proves the current chunk and makes its signature the previous one.
func (c *ChunkReader) checkChunk() error {
	if c.hash == nil {
		return nil
	}
	b := c.beginToSign("AWS4-HMAC-SHA256-PAYLOAD\n")
	b = append(b, EmptySHA256+"\n"...)
	c.toSign = hex.AppendEncode(b, c.hash.Sum(c.sum[:0]))
	c.hash.Reset()
	return c.checkLink(ChunkSignatureMismatch)
}

// beginToSign writes what the strings to sign of chunk and trailer share.
func (c *ChunkReader) beginToSign(algorithm string) []byte {
	b := append(c.toSign[:0], algorithm...)
	b = append(c.cfg.Time.UTC().AppendFormat(b, stampLayout), '\n')
	b = append(c.cfg.Key.appendScope(b), '\n')
	return append(append(b, c.previous[:]...), '\n')
}

// checkLink compares the claimed signature with that of toSign.
func (c *ChunkReader) checkLink(code Code) error {
	want := c.cfg.Key.sign(c.toSign)
	if subtle.ConstantTimeCompare(want[:], c.claimed[:]) != 1 {
		return &Error{Code: code, StringToSign: redactLink(c.toSign)}
	}
	c.previous = want
	return nil
}

// redactLink takes the previous signature, which the client sent, out of the
// string to sign that an error carries.
func redactLink(toSign []byte) string {
	lines := bytes.Split(toSign, []byte{'\n'})
	lines[3] = []byte("(previous signature)")
	return string(bytes.Join(lines, []byte{'\n'}))
}

// readLine returns the next line without its "\n"; it is good until the next
// read.
func (c *ChunkReader) readLine(limit int, tooLong Code) ([]byte, error) {
	line, err := c.src.ReadSlice('\n')
	switch {
	case err == nil && len(line) <= limit:
		return line[:len(line)-1], nil
	case err == nil || err == bufio.ErrBufferFull || len(line) > limit:
		return nil, refuse(tooLong, "a line is too long")
	case err == io.EOF:
		return nil, incomplete("inside a line")
	default:
		return nil, err
	}
}

func (c *ChunkReader) readCRLF() error {
	for _, want := range [...]byte{'\r', '\n'} {
		got, err := c.src.ReadByte()
		switch {
		case err == io.EOF:
			return incomplete("before a line end")
		case err != nil:
			return err
		case got != want:
			return refuse(ChunkMalformed, "a chunk does not end with CRLF")
		}
	}
	return nil
}
