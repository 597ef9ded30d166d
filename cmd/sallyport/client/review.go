package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"sallyport/sigv4"
)

// Ruling is an analyst's decision on an object.
type Ruling struct {
	Decision string `json:"decision"` // "release", "reject" or "confirm"
	Reason   string `json:"reason"`   // a code
	Note     string `json:"note,omitempty"`
	By       string `json:"by,omitempty"` // the server's to say, as is At
	At       string `json:"at,omitempty"`
}

// Review carries an analyst's decision out. Where the profile wants two persons the
// object comes back with a Proposal.
func (c *Client) Review(ctx context.Context, id string, r Ruling) (Object, error) {
	var o Object
	err := c.call(ctx, http.MethodPost, "/objects/"+sigv4.EncodeComponent(id)+"/review", nil, r, &o)
	return o, err
}

// Rescan has an object inspected again.
func (c *Client) Rescan(ctx context.Context, id string) (Object, error) {
	var o Object
	err := c.call(ctx, http.MethodPost, "/objects/"+sigv4.EncodeComponent(id)+"/rescan", nil, nil, &o)
	return o, err
}

// Given is one request that was given an object's bytes.
type Given struct {
	Time       string `json:"time"`
	RequestID  string `json:"request_id"`
	Principal  string `json:"principal"`
	Credential string `json:"credential,omitempty"`
	Op         string `json:"op"`
	URLID      string `json:"url_id,omitempty"`
	RemoteIP   string `json:"remote_ip,omitempty"`
	Status     int    `json:"status"`
	BytesOut   int64  `json:"bytes_out"`
}

// Downloads lists who was given an object's bytes, oldest first.
func (c *Client) Downloads(ctx context.Context, id string, limit int) ([]Given, error) {
	return list[Given](ctx, c, "/objects/"+sigv4.EncodeComponent(id)+"/downloads", "downloads", nil, limit)
}

// Examine writes an object that need not be published to w, in a zip archive that is
// encrypted with the password "infected".
func (c *Client) Examine(ctx context.Context, id string, w io.Writer) error {
	answer, err := c.exchange(ctx, http.MethodGet, "/objects/"+sigv4.EncodeComponent(id)+"/content", url.Values{"as": {"zip"}}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	n, err := io.Copy(w, answer.Body)
	if err == nil && n != answer.ContentLength {
		err = ErrCorrupt
	}
	return err
}
