package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"sallyport/sigv4"
)

// ErrCorrupt says that the bytes that arrived are not those that were stored.
var ErrCorrupt = errors.New("the bytes received are not those that were stored")

// Object is one object as the control port shows it.
type Object struct {
	ObjectID     string     `json:"object_id"`
	UploadID     string     `json:"upload_id,omitempty"`
	State        string     `json:"state"`
	Held         bool       `json:"held,omitempty"`
	Filename     string     `json:"filename"`
	ContentType  string     `json:"content_type"`
	DetectedType string     `json:"detected_type,omitempty"`
	Size         int64      `json:"size"`
	SHA256       *string    `json:"sha256"` // null until known
	ETag         string     `json:"etag,omitempty"`
	Profile      string     `json:"profile"`
	CreatedAt    time.Time  `json:"created_at"`
	PublishedAt  *time.Time `json:"published_at,omitempty"`
	Verdict      *Verdict   `json:"verdict,omitempty"`
	RejectedAt   *time.Time `json:"rejected_at,omitempty"`
	Destroyed    bool       `json:"destroyed,omitempty"`  // rejected, and its bytes are gone
	Rescanning   bool       `json:"rescanning,omitempty"` // published, and in the queue again
	Doubt        *Verdict   `json:"doubt,omitempty"`      // of the last rescan, if it could not judge
	Proposal     *Ruling    `json:"proposal,omitempty"`   // a release that waits for a second analyst
	Review       *Ruling    `json:"review,omitempty"`
	Renditions   int        `json:"renditions,omitempty"` // how many
}

// Verdict is what inspection concluded.
type Verdict struct {
	Result  string   `json:"result"`
	Reason  string   `json:"reason,omitempty"`
	Engines []Engine `json:"engines"`
}

// Engine is one inspection's part in a verdict.
type Engine struct {
	Name      string `json:"name"`
	Version   string `json:"version,omitempty"`
	Result    string `json:"result"`
	Signature string `json:"signature,omitempty"`
}

// Settled tells whether nothing more happens to the object by itself.
func (o Object) Settled() bool {
	return o.State == "published" || o.State == "rejected" || o.State == "deleted" || o.Held
}

// Object reads one object's row.
func (c *Client) Object(ctx context.Context, id string) (Object, error) {
	var o Object
	err := c.call(ctx, http.MethodGet, "/objects/"+sigv4.EncodeComponent(id), nil, nil, &o)
	return o, err
}

// ObjectFilter narrows a list; empty fields do not.
type ObjectFilter struct {
	Profile, State string
	Held           bool
}

// Objects lists up to limit objects, newest first.
func (c *Client) Objects(ctx context.Context, f ObjectFilter, limit int) ([]Object, error) {
	query := url.Values{}
	setQuery(query, "profile", f.Profile)
	setQuery(query, "state", f.State)
	if f.Held {
		query.Set("held", "true")
	}
	return list[Object](ctx, c, "/objects", "objects", query, limit)
}

// Download writes a published object's bytes to w, having checked their number
// and, at the end, their SHA-256: what was written is to be trusted only when
// the error is nil. rendition, if not nil, is fetched instead.
func (c *Client) Download(ctx context.Context, o Object, rendition *Rendition, w io.Writer) error {
	o, query := rendition.of(o)
	var grant struct {
		URL     string            `json:"get_url"`
		Headers map[string]string `json:"headers"`
	}
	path := "/objects/" + sigv4.EncodeComponent(o.ObjectID) + "/download-url"
	if err := c.call(ctx, http.MethodGet, path, query, nil, &grant); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, grant.URL, nil)
	if err != nil {
		return errors.New("the server's download URL does not parse")
	}
	for name, value := range grant.Headers {
		req.Header.Set(name, value)
	}
	answer, err := c.do(req)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), answer.Body)
	if err != nil {
		return fmt.Errorf("download %s: %w", o.ObjectID, err)
	}
	if o.SHA256 == nil || n != o.Size || hex.EncodeToString(sum.Sum(nil)) != *o.SHA256 {
		return fmt.Errorf("download %s: %w", o.ObjectID, ErrCorrupt)
	}
	return nil
}

func setQuery(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
