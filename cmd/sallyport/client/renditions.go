package client

import (
	"context"
	"net/http"
	"net/url"

	"sallyport/sigv4"
)

// Rendition is a clean copy of a picture.
type Rendition struct {
	Name        string `json:"name"`
	ContentType string `json:"content_type"`
	Width       int    `json:"width"` // pixels
	Height      int    `json:"height"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
}

// Renditions lists what was made of an object.
func (c *Client) Renditions(ctx context.Context, object string) ([]Rendition, error) {
	var out struct {
		Renditions []Rendition `json:"renditions"`
	}
	err := c.call(ctx, http.MethodGet, "/objects/"+sigv4.EncodeComponent(object)+"/renditions", nil, nil, &out)
	return out.Renditions, err
}

// of is what Download is to fetch and to expect.
func (r *Rendition) of(o Object) (Object, url.Values) {
	if r == nil {
		return o, nil
	}
	o.Size, o.SHA256 = r.Size, &r.SHA256
	return o, url.Values{"rendition": {r.Name}}
}
