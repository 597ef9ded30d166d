package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"time"

	"sallyport/sigv4"
)

// putAttempts is how often the bytes of one upload are sent before giving up. A
// failed attempt gives the URL's turn back, so another may follow.
const putAttempts = 3

// NewUpload is what a session is created from.
type NewUpload struct {
	Filename    string `json:"filename"`
	ContentType string `json:"content_type"`
	Size        int64  `json:"size"`
	Profile     string `json:"profile,omitempty"`
	Multipart   bool   `json:"multipart,omitempty"`
}

// Upload is a session and the URL its bytes go to, unless they go in parts.
type Upload struct {
	UploadID  string            `json:"upload_id"`
	ObjectID  string            `json:"object_id"`
	State     string            `json:"state"`
	Method    string            `json:"method"`
	PutURL    string            `json:"put_url"`
	URLID     string            `json:"url_id"`
	Headers   map[string]string `json:"headers"`
	ExpiresAt time.Time         `json:"url_expires_at"`
	PartSize  int64             `json:"part_size"` // bytes of each part but the last; 0 for one PUT
	PartCount int               `json:"part_count"`
}

// CreateUpload opens a session.
func (c *Client) CreateUpload(ctx context.Context, n NewUpload) (Upload, error) {
	var u Upload
	err := c.call(ctx, http.MethodPost, "/uploads", nil, n, &u)
	return u, err
}

// AbortUpload ends a session that was not finalized.
func (c *Client) AbortUpload(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/uploads/"+sigv4.EncodeComponent(id), nil, nil, nil)
}

// FinalizeUpload declares what was sent, by its hexadecimal SHA-256.
func (c *Client) FinalizeUpload(ctx context.Context, id, sum string) error {
	in := struct {
		SHA256 string `json:"sha256"`
	}{sum}
	return c.call(ctx, http.MethodPost, "/uploads/"+sigv4.EncodeComponent(id)+"/finalize", nil, in, nil)
}

// Put sends size bytes of r to the session's URL and returns their hexadecimal
// SHA-256. After a failure that may pass it starts again from the beginning with
// a fresh URL. progress, if not nil, is told how many bytes of the attempt went.
func (c *Client) Put(ctx context.Context, u Upload, r io.ReaderAt, size int64, progress func(sent int64)) (string, error) {
	for attempt := 1; ; attempt++ {
		body := newOutgoing(r, 0, size, sha256.New(), progress)
		_, err := c.putOnce(ctx, u.PutURL, u.Headers, body, size)
		body.stop()
		if err == nil {
			return body.digest()
		}
		if attempt == putAttempts || !mayPass(ctx, err) {
			return "", err
		}
		fresh, reissueErr := c.reissue(ctx, u.UploadID)
		var refusal *Error
		if errors.As(reissueErr, &refusal) && refusal.Code == "UPLOAD_ALREADY_RECEIVED" {
			return body.digest() // only the answer was lost
		}
		if reissueErr != nil {
			return "", errors.Join(err, reissueErr)
		}
		u.PutURL, u.Headers = fresh.PutURL, fresh.Headers
	}
}

// mayPass tells failures of the way from refusals.
func mayPass(ctx context.Context, err error) bool {
	if ctx.Err() != nil || errors.Is(err, errSource) {
		return false
	}
	var refusal *Error
	if !errors.As(err, &refusal) {
		return true
	}
	return refusal.Status >= 500 && refusal.Status != http.StatusInsufficientStorage ||
		refusal.Code == "OperationAborted" || refusal.Code == "RequestTimeout" || refusal.Code == "IncompleteBody"
}

// putOnce sends a body to a signed URL and returns the answer's header.
func (c *Client) putOnce(ctx context.Context, url string, headers map[string]string, body *outgoing, size int64) (http.Header, error) {
	var content io.Reader = body
	if size == 0 {
		content = http.NoBody
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, content)
	if err != nil {
		return nil, errors.New("the server's upload URL does not parse")
	}
	req.ContentLength = size
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	if size > 0 {
		req.Header.Set("Expect", "100-continue") // a refusal costs no body byte
	}
	answer, err := c.do(req)
	if err != nil {
		return nil, err
	}
	return answer.Header, answer.Body.Close()
}

func (c *Client) reissue(ctx context.Context, id string) (Upload, error) {
	var u Upload
	err := c.call(ctx, http.MethodPost, "/uploads/"+sigv4.EncodeComponent(id)+"/url", nil, struct{}{}, &u)
	return u, err
}
