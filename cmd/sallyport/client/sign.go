package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"

	"sallyport/sigv4"
)

// authorize adds the credential to a request for the control port.
func (c *Client) authorize(req *http.Request, body []byte) error {
	switch {
	case c.cfg.Token != "":
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
		return nil
	case c.cfg.AccessKey == "":
		return errors.New("no credential: set SALLYPORT_ACCESS_KEY and SALLYPORT_SECRET_KEY, or SALLYPORT_TOKEN")
	}
	now := c.cfg.Now().UTC()
	sum := sha256.Sum256(body)
	req.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	req.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	key := sigv4.DeriveKey(c.cfg.AccessKey, []byte(c.cfg.SecretKey), now.Format("20060102"), c.cfg.Region, "s3")
	signed := sigv4.Request{
		Method: []byte(req.Method),
		Path:   []byte(req.URL.EscapedPath()),
		Query:  []byte(req.URL.RawQuery),
		Header: []sigv4.Field{field("Host", req.URL.Host)},
	}
	for _, name := range []string{"Content-Type", "X-Amz-Date", "X-Amz-Content-Sha256"} {
		if value := req.Header.Get(name); value != "" {
			signed.Header = append(signed.Header, field(name, value))
		}
	}
	authorization, err := sigv4.SignHeader(nil, &signed, key)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", string(authorization))
	return nil
}

func field(name, value string) sigv4.Field {
	return sigv4.Field{Name: []byte(name), Value: []byte(value)}
}
