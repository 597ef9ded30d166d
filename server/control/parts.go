package control

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/server"
	"sallyport/sigv4"
)

type registerPartBody struct {
	ETag   string `json:"etag"`
	Size   *int64 `json:"size"`
	SHA256 string `json:"sha256"`
}

// partURL is a URL to put one part to.
type partURL struct {
	PartNumber   int               `json:"part_number"`
	Size         int64             `json:"size"`
	Method       string            `json:"method"`
	URL          string            `json:"url"`
	URLID        registry.GrantID  `json:"url_id"`
	Headers      map[string]string `json:"headers"`
	URLExpiresAt string            `json:"url_expires_at"`
}

// partRow is a part that is stored.
type partRow struct {
	PartNumber int    `json:"part_number"`
	Size       int64  `json:"size"`
	ETag       string `json:"etag"`
	SHA256     string `json:"sha256"`
	Registered bool   `json:"registered"`
	ReceivedAt string `json:"received_at"`
}

func partRowOf(p registry.Part) partRow {
	return partRow{
		PartNumber: p.Number, Size: p.Size, ETag: p.ETag, SHA256: p.SHA256,
		Registered: p.Registered, ReceivedAt: stamp(p.StoredAt),
	}
}

func issuePartURL(k *call) error {
	var in reissueBody
	if err := k.decode(&in); err != nil {
		return err
	}
	p, err := k.cfg.Pipeline.IssuePart(k.context(), k.actor, registry.UploadID(k.id), k.n, time.Duration(in.TTL))
	if err != nil {
		return err
	}
	x := server.ExchangeOf(k.ctx)
	x.Object, x.Grant = string(p.Upload.Object), string(p.Grant.ID)
	signed := []sigv4.Param{{Name: "content-type", Value: p.Upload.ContentType}}
	url, err := k.sign("PUT", "/_/uploads/"+string(p.Upload.ID), p.Grant, signed)
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, partURL{
		PartNumber: k.n, Size: p.Size, Method: "PUT", URL: url, URLID: p.Grant.ID,
		Headers: map[string]string{"Content-Type": p.Upload.ContentType}, URLExpiresAt: stamp(p.Grant.ExpiresAt),
	})
}

func registerPart(k *call) error {
	var in registerPartBody
	if err := k.decode(&in); err != nil {
		return err
	}
	if in.ETag == "" || in.Size == nil {
		return fmt.Errorf("%w: etag and size are required", errInvalid)
	}
	sum, err := digest(in.SHA256)
	if err != nil {
		return err
	}
	p, err := k.cfg.Pipeline.RegisterPart(k.context(), k.actor, registry.UploadID(k.id), k.n, registry.Registration{
		// As the answer's header says it, or the bare digest.
		ETag: strings.Trim(in.ETag, `"`), Size: *in.Size, SHA256: sum,
	})
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, partRowOf(p))
}

// listParts lists what is stored, in the order of the parts. The cursor is the last
// number of the page before.
func listParts(k *call) error {
	page, err := k.page()
	if err != nil {
		return err
	}
	after := 0
	if page.Cursor != "" {
		if after, err = strconv.Atoi(page.Cursor); err != nil || after < 1 {
			return fmt.Errorf("%w: cursor", errInvalid)
		}
	}
	parts, more, err := k.cfg.Pipeline.SessionParts(k.context(), k.actor, registry.UploadID(k.id), after, page.Limit)
	if err != nil {
		return err
	}
	out := struct {
		Parts []partRow `json:"parts"`
		Next  string    `json:"next_cursor,omitempty"`
	}{Parts: make([]partRow, 0, len(parts))}
	for _, p := range parts {
		out.Parts = append(out.Parts, partRowOf(p))
	}
	if more {
		out.Next = strconv.Itoa(parts[len(parts)-1].Number)
	}
	return k.json(fasthttp.StatusOK, out)
}
