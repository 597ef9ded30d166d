package control

import (
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/server"
)

// renditionRow is a clean copy as people and programs see it.
type renditionRow struct {
	Name        string `json:"name"`
	ContentType string `json:"content_type"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
}

func listRenditions(k *call) error {
	g, err := k.cfg.Pipeline.Renditions(k.context(), k.actor, registry.ObjectID(k.id))
	if err != nil {
		return err
	}
	out := struct {
		ObjectID   string         `json:"object_id"`
		Inline     bool           `json:"inline"`
		Renditions []renditionRow `json:"renditions"`
	}{k.id, g.Inline && k.cfg.InlineURL != "", make([]renditionRow, 0, len(g.Renditions))}
	for _, r := range g.Renditions {
		out.Renditions = append(out.Renditions, renditionRow{r.Name, r.ContentType, r.Width, r.Height, r.Size, r.SHA256})
	}
	return k.json(fasthttp.StatusOK, out)
}

// getRendition sends a rendition's bytes. On this port nothing is displayed.
func getRendition(k *call) error {
	found, err := k.cfg.Pipeline.FindRendition(k.context(), k.actor, registry.ObjectID(k.id), k.name)
	if err != nil {
		return err
	}
	return k.sendFound(found, func(h *fasthttp.ResponseHeader) {
		server.DressDownload(h, found.Object.ContentType, found.Object.Filename)
		h.Set("ETag", `"`+found.Object.ETag+`"`)
	})
}

// issueGet issues a GET URL for what the query asks for: the object, or one of its
// renditions. Only these can be displayed, and only from a host of their own.
func (k *call) issueGet(ttl time.Duration) (registry.Grant, registry.Object, error) {
	id, d := registry.ObjectID(k.id), registry.Attachment
	if s, ok := k.query["disposition"]; ok {
		d = registry.Disposition(s)
	}
	name, rendition := k.query["rendition"]
	switch {
	case d != registry.Attachment && d != registry.Inline:
		return registry.Grant{}, registry.Object{}, fmt.Errorf("%w: disposition is attachment or inline", errInvalid)
	case d == registry.Inline && !rendition:
		return registry.Grant{}, registry.Object{}, fmt.Errorf("%w: only a rendition can be inline", errInvalid)
	case rendition && !isID(name):
		return registry.Grant{}, registry.Object{}, fmt.Errorf("%w: rendition is a name", errInvalid)
	case d == registry.Inline && k.cfg.InlineURL == "":
		return registry.Grant{}, registry.Object{}, pipeline.ErrNoInline
	case rendition:
		return k.cfg.Pipeline.IssueRendition(k.context(), k.actor, id, name, d, ttl)
	}
	return k.cfg.Pipeline.IssueGet(k.context(), k.actor, id, d, ttl)
}
