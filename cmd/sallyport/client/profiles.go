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
