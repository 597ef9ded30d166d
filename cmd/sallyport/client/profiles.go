package client

import (
	"context"
	"net/http"

	"sallyport/sigv4"
)

// Profile is the policy that uploads are created under. A zero field is the
// server's default; durations are Go strings.
type Profile struct {
	Name         string   `json:"name,omitempty"`
	Intake       string   `json:"intake,omitempty"`
	AllowedTypes []string `json:"allowed_types"`
	MaxSize      int64    `json:"max_size,omitempty"` // bytes
	SessionTTL   string   `json:"session_ttl,omitempty"`
	PutURLTTL    string   `json:"put_url_ttl,omitempty"`
	GetURLMinTTL string   `json:"get_url_min_ttl,omitempty"`
	GetURLMaxTTL string   `json:"get_url_max_ttl,omitempty"`
	AllowInline  bool     `json:"allow_inline"`
	CORSOrigins  []string `json:"cors_origins"`
	SingleUse    bool     `json:"single_use"`
	PresignMax   string   `json:"presign_max_ttl,omitempty"`
	CreatedAt    string   `json:"created_at,omitempty"`
	Scan         Scan     `json:"scan"`
}

// Scan is how a profile's objects are inspected.
type Scan struct {
	Mode         string   `json:"mode,omitempty"` // "async", "inline" or "off"
	Engines      []string `json:"engines,omitempty"`
	Executables  bool     `json:"executables,omitempty"`
	Active       bool     `json:"active,omitempty"`
	Archive      *Archive `json:"archive,omitempty"`
	Image        *Image   `json:"image,omitempty"` // nil: no renditions
	TwoPersons   bool     `json:"two_persons,omitempty"`
	KeepRejected string   `json:"keep_rejected,omitempty"`
}

// Archive bounds what is unpacked.
type Archive struct {
	MaxDepth   int   `json:"max_depth,omitempty"`
	MaxEntries int   `json:"max_entries,omitempty"`
	MaxBytes   int64 `json:"max_bytes,omitempty"`
	MaxRatio   int   `json:"max_ratio,omitempty"`
	Encrypted  bool  `json:"encrypted,omitempty"`
}

// Image is what is made of images.
type Image struct {
	MaxPixels  int64 `json:"max_pixels,omitempty"`
	MaxFrames  int   `json:"max_frames,omitempty"`
	Thumbnails []int `json:"thumbnails,omitempty"`
	Inline     bool  `json:"inline,omitempty"`
}

// Profiles lists the tenant's profiles.
func (c *Client) Profiles(ctx context.Context) ([]Profile, error) {
	var answer struct {
		Profiles []Profile `json:"profiles"`
	}
	err := c.call(ctx, http.MethodGet, "/profiles", nil, nil, &answer)
	return answer.Profiles, err
}

// Profile reads one profile.
func (c *Client) Profile(ctx context.Context, name string) (Profile, error) {
	var p Profile
	err := c.call(ctx, http.MethodGet, "/profiles/"+sigv4.EncodeComponent(name), nil, nil, &p)
	return p, err
}

// PutProfile makes a profile, or replaces its policy as a whole.
func (c *Client) PutProfile(ctx context.Context, p Profile) (Profile, error) {
	path := "/profiles/" + sigv4.EncodeComponent(p.Name)
	p.Name, p.CreatedAt = "", "" // the path names it; the server dates it
	var stored Profile
	err := c.call(ctx, http.MethodPut, path, nil, p, &stored)
	return stored, err
}
