package client

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/sigv4"
)

// partPause is how long a part waits after its first failure; it doubles.
const partPause = 250 * time.Millisecond

// ErrNotTheFile says that a session is not for the file that it is to go on with.
var ErrNotTheFile = errors.New("the session was begun for another file")

// Session is a session as it stands.
type Session struct {
	UploadID  string    `json:"upload_id"`
	ObjectID  string    `json:"object_id"`
	State     string    `json:"state"`
	Filename  string    `json:"filename"`
	Size      int64     `json:"size"`
	Received  int64     `json:"received"`
	PartSize  int64     `json:"part_size"` // bytes of each part but the last; 0 for one PUT
	PartCount int       `json:"part_count"`
	ExpiresAt time.Time `json:"session_expires_at"`
}

// Session reads one session's row.
func (c *Client) Session(ctx context.Context, id string) (Session, error) {
	var s Session
	err := c.call(ctx, http.MethodGet, "/uploads/"+sigv4.EncodeComponent(id), nil, nil, &s)
	return s, err
}

// Part is a stored part of a session.
type Part struct {
	Number     int    `json:"part_number"`
	Size       int64  `json:"size"`
	ETag       string `json:"etag"` // the MD5 in hex
	SHA256     string `json:"sha256"`
	Registered bool   `json:"registered"`
}

// Parts lists the stored parts of a session, in their order.
func (c *Client) Parts(ctx context.Context, id string) ([]Part, error) {
	return list[Part](ctx, c, "/uploads/"+sigv4.EncodeComponent(id)+"/parts", "parts", nil, 0)
}

// PartURL is a URL to put one part to, once.
type PartURL struct {
	Number    int               `json:"part_number"`
	Size      int64             `json:"size"`
	URL       string            `json:"url"`
	URLID     string            `json:"url_id"`
	Headers   map[string]string `json:"headers"`
	ExpiresAt time.Time         `json:"url_expires_at"`
}

// PartURL issues a fresh URL for a part; earlier ones of it stop working.
func (c *Client) PartURL(ctx context.Context, id string, number int) (PartURL, error) {
	var u PartURL
	err := c.call(ctx, http.MethodPost, partPath(id, number)+"/url", nil, struct{}{}, &u)
	return u, err
}

// RegisterPart fixes a stored part, so that no URL can replace it.
func (c *Client) RegisterPart(ctx context.Context, id string, p Part) error {
	in := struct {
		ETag   string `json:"etag"`
		Size   int64  `json:"size"`
		SHA256 string `json:"sha256,omitempty"`
	}{p.ETag, p.Size, p.SHA256}
	return c.call(ctx, http.MethodPut, partPath(id, p.Number), nil, in, nil)
}

func partPath(id string, number int) string {
	return "/uploads/" + sigv4.EncodeComponent(id) + "/parts/" + strconv.Itoa(number)
}

// PutParts sends the parts of a session, up to parallel of them at a time, and
// returns the hexadecimal SHA-256 of the whole. Parts of which the server has just
// these bytes already are not sent again. A part that fails in a way that may pass
// is sent again with a fresh URL. progress, if not nil, is told how many bytes are
// there, by one goroutine at a time; the number falls where a part starts again.
func (c *Client) PutParts(ctx context.Context, s Session, f io.ReaderAt, parallel int, progress func(sent int64)) (string, error) {
	if s.PartSize < 1 || s.PartCount < 1 {
		return "", fmt.Errorf("session %s does not take its bytes in parts", s.UploadID)
	}
	stored, err := c.Parts(ctx, s.UploadID)
	if err != nil {
		return "", err
	}
	have := make(map[int]Part, len(stored))
	for _, p := range stored {
		have[p.Number] = p
	}
	t := &tally{progress: progress}
	g, ctx := errgroup.WithContext(ctx)
	var sum string
	g.Go(func() (err error) {
		sum, err = wholeDigest(ctx, f, s.Size)
		return err
	})
	g.Go(func() error {
		parts, partsCtx := errgroup.WithContext(ctx)
		parts.SetLimit(max(parallel, 1))
		for number := 1; number <= s.PartCount && partsCtx.Err() == nil; number++ {
			off := int64(number-1) * s.PartSize
			w := partWork{session: s.UploadID, number: number, f: f, off: off, size: min(s.PartSize, s.Size-off), tally: t}
			parts.Go(func() error { return c.ensurePart(partsCtx, w, have) })
		}
		if err := parts.Wait(); err != nil {
			return err
		}
		return ctx.Err() // else some were never begun
	})
	err = g.Wait()
	return sum, err
}

// ensurePart sends a part unless the server has just these bytes.
func (c *Client) ensurePart(ctx context.Context, w partWork, have map[int]Part) error {
	if p, ok := have[w.number]; ok {
		same, err := w.holds(p)
		if same || err != nil {
			return err
		}
	}
	if err := c.putPart(ctx, w); err != nil {
		return fmt.Errorf("part %d: %w", w.number, err)
	}
	return nil
}

// partWork is one part of a file on its way.
type partWork struct {
	session   string
	number    int
	f         io.ReaderAt
	off, size int64
	tally     *tally
}

// holds tells whether a stored part has the file's bytes. One that is registered
// and has not can never be right.
func (w *partWork) holds(p Part) (bool, error) {
	sum := md5.New()
	if _, err := io.Copy(sum, io.NewSectionReader(w.f, w.off, w.size)); err != nil {
		return false, errors.Join(errSource, err)
	}
	if p.Size == w.size && p.ETag == hex.EncodeToString(sum.Sum(nil)) {
		w.tally.add(w.size)
		return true, nil
	}
	if p.Registered {
		return false, fmt.Errorf("%w: part %d differs", ErrNotTheFile, w.number)
	}
	return false, nil
}

func (c *Client) putPart(ctx context.Context, w partWork) error {
	for attempt := 1; ; attempt++ {
		err := c.putPartOnce(ctx, w)
		if err == nil || attempt == putAttempts || !mayPass(ctx, err) {
			return err
		}
		select {
		case <-time.After(partPause << (attempt - 1)):
		case <-ctx.Done():
			return err
		}
	}
}

// errAltered says that the server has other bytes than were sent.
var errAltered = errors.New("the server's ETag is not that of the bytes that were sent")

func (c *Client) putPartOnce(ctx context.Context, w partWork) error {
	u, err := c.PartURL(ctx, w.session, w.number)
	if err != nil {
		return err
	}
	if u.Size != w.size {
		return fmt.Errorf("%w: it has %d bytes", ErrNotTheFile, u.Size)
	}
	told := int64(0)
	body := newOutgoing(w.f, w.off, w.size, md5.New(), func(sent int64) {
		w.tally.add(sent - told)
		told = sent
	})
	header, err := c.putOnce(ctx, u.URL, u.Headers, body, w.size)
	body.stop()
	if err == nil {
		var sum string
		sum, err = body.digest()
		if err == nil && strings.Trim(header.Get("ETag"), `"`) != sum {
			err = errAltered
		}
	}
	if err != nil {
		w.tally.add(-told)
	}
	return err
}

// wholeDigest reads a file on its own, as fast as the parts go: they are in no
// order.
func wholeDigest(ctx context.Context, f io.ReaderAt, size int64) (string, error) {
	sum := sha256.New()
	r := io.NewSectionReader(f, 0, size)
	for n := int64(0); n < size; {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		got, err := io.CopyN(sum, r, min(4<<20, size-n))
		n += got
		if err != nil {
			return "", errors.Join(errSource, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// tally adds up what goes in several places.
type tally struct {
	mu       sync.Mutex // protects the field below; held while progress is told
	sent     int64
	progress func(int64)
}

func (t *tally) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent += n
	if t.progress != nil {
		t.progress(t.sent)
	}
}
