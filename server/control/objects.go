package control

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
	"sallyport/server"
)

// objectRow is an object as people and programs see it.
type objectRow struct {
	ObjectID     registry.ObjectID      `json:"object_id"`
	UploadID     registry.UploadID      `json:"upload_id,omitempty"`
	State        registry.ObjectState   `json:"state"`
	Held         bool                   `json:"held,omitempty"`
	Filename     string                 `json:"filename"`
	ContentType  string                 `json:"content_type"`
	DetectedType string                 `json:"detected_type,omitempty"`
	Size         int64                  `json:"size"`
	SHA256       *string                `json:"sha256"` // null until known
	ETag         string                 `json:"etag,omitempty"`
	Profile      registry.BucketName    `json:"profile"`
	Principal    registry.PrincipalName `json:"principal"`
	CreatedAt    string                 `json:"created_at"`
	PublishedAt  string                 `json:"published_at,omitempty"`
	Verdict      *verdict               `json:"verdict,omitempty"`
	RejectedAt   string                 `json:"rejected_at,omitempty"`
	Destroyed    bool                   `json:"destroyed,omitempty"` // rejected, and its bytes are gone
	Rescanning   bool                   `json:"rescanning,omitempty"`
	Renditions   int                    `json:"renditions,omitempty"` // how many
	Doubt        *verdict               `json:"doubt,omitempty"`      // of the last rescan, if it could not judge
	Proposal     *ruling                `json:"proposal,omitempty"`
	Review       *ruling                `json:"review,omitempty"`
}

type verdict struct {
	Result  registry.VerdictResult `json:"result"`
	Reason  string                 `json:"reason,omitempty"`
	Engines []registry.EngineNote  `json:"engines"`
	At      string                 `json:"at,omitempty"`
}

func verdictOf(v *registry.Verdict) *verdict {
	if v == nil {
		return nil
	}
	row := &verdict{Result: v.Result, Reason: v.Reason, Engines: v.Engines, At: maybeStamp(v.At)}
	if row.Engines == nil {
		row.Engines = []registry.EngineNote{}
	}
	return row
}

// objectRow is an object as the caller may see it.
func (k *call) objectRow(o registry.Object) objectRow {
	row := objectRow{
		ObjectID: o.ID, UploadID: o.Upload, State: o.State, Held: o.Held, Filename: o.Filename,
		ContentType: o.ContentType, DetectedType: o.DetectedType, Size: o.Size, ETag: o.ETag,
		Profile: o.Bucket, Principal: o.Principal,
		CreatedAt: stamp(o.CreatedAt), PublishedAt: maybeStamp(o.PublishedAt),
		Verdict: verdictOf(o.Verdict), RejectedAt: maybeStamp(o.RejectedAt), Destroyed: o.Destroyed,
		Rescanning: o.Rescan != nil, Renditions: o.Renditions, Doubt: verdictOf(o.Doubt),
	}
	if o.SHA256 != "" {
		row.SHA256 = &o.SHA256
	}
	if k.reviewer() {
		row.Proposal, row.Review = rulingOf(o.Proposal), rulingOf(o.Ruling)
	}
	return row
}

// objectStates are the states that a list can be narrowed to.
var objectStates = []registry.ObjectState{
	registry.ObjectPending, registry.ObjectQuarantined, registry.ObjectScanning,
	registry.ObjectPublished, registry.ObjectRejected, registry.ObjectDeleted,
}

func listObjects(k *call) error {
	p, err := k.page()
	if err != nil {
		return err
	}
	f := registry.ObjectFilter{Bucket: registry.BucketName(k.query["profile"]), State: registry.ObjectState(k.query["state"])}
	if _, given := k.query["state"]; given && !slices.Contains(objectStates, f.State) {
		return fmt.Errorf("%w: unknown state", errInvalid)
	}
	if held, given := k.query["held"]; given {
		if held != "true" {
			return fmt.Errorf("%w: held is true", errInvalid)
		}
		f.Held = true
	}
	list, next, err := k.cfg.Pipeline.Objects(k.context(), k.actor, f, p)
	if err != nil {
		return err
	}
	out := struct {
		Objects []objectRow `json:"objects"`
		Next    string      `json:"next_cursor,omitempty"`
	}{make([]objectRow, 0, len(list)), next}
	for _, o := range list {
		out.Objects = append(out.Objects, k.objectRow(o))
	}
	return k.json(fasthttp.StatusOK, out)
}

func getObject(k *call) error {
	o, err := k.cfg.Pipeline.Object(k.context(), k.actor, registry.ObjectID(k.id))
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, k.objectRow(o))
}

func deleteObject(k *call) error {
	if err := k.cfg.Pipeline.Delete(k.context(), k.actor, registry.ObjectID(k.id)); err != nil {
		return err
	}
	return k.noContent()
}

func downloadURL(k *call) error {
	seconds, given, err := k.number("ttl")
	const day = uint64(24 * time.Hour / time.Second) // more than any policy allows, and no overflow
	if err != nil || given && (seconds == 0 || seconds > day) {
		return fmt.Errorf("%w: ttl is a number of seconds, within the profile's bounds", policy.ErrInvalidTTL)
	}
	g, o, err := k.issueGet(time.Duration(seconds) * time.Second)
	if err != nil {
		return err
	}
	server.ExchangeOf(k.ctx).Grant = string(g.ID)
	url, err := k.sign("GET", "/_/objects/"+string(o.ID), g, nil)
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, struct {
		ObjectID  registry.ObjectID `json:"object_id"`
		Method    string            `json:"method"`
		GetURL    string            `json:"get_url"`
		URLID     registry.GrantID  `json:"url_id"`
		Headers   map[string]string `json:"headers"`
		ExpiresAt string            `json:"expires_at"`
	}{o.ID, "GET", url, g.ID, map[string]string{}, stamp(g.ExpiresAt)})
}

// getContent sends an object's bytes, labelled as what they were found to be and never
// to be displayed.
func getContent(k *call) error {
	found, how, err := k.findContent()
	if err != nil {
		return err
	}
	if how == formZip {
		return k.sendZip(found)
	}
	return k.sendFound(found, func(h *fasthttp.ResponseHeader) { dress(h, how, found.Object) })
}

// sendFound answers with the bytes of what was found: the file itself where they lie in
// one. dress puts the headers on.
func (k *call) sendFound(found *pipeline.Found, dress func(*fasthttp.ResponseHeader)) error {
	h := &k.ctx.Response.Header
	if k.ctx.IsHead() {
		dress(h)
		server.SendHead(k.c, found.Object.Size)
		return nil
	}
	r, err := found.Open(k.context(), 0, -1, server.Cut(k.c))
	if err != nil {
		return err
	}
	f, off, n, ok := r.File()
	if !ok {
		dress(h)
		server.SendReader(k.c, r, r.Len(), nil)
		return nil
	}
	err = server.SendFile(k.c, f, off, n, func(sent int64, err error) {
		_ = r.Sent(sent, err) // what it returns is for whoever is still to answer
		_ = r.Close()         // a file that was only read
	})
	if err != nil {
		return errors.Join(err, r.Close())
	}
	dress(h)
	return nil
}

// dress puts the headers on an object's bytes.
func dress(h *fasthttp.ResponseHeader, how form, o registry.Object) {
	server.DressDownload(h, how.label(&o), o.Filename)
	h.Set("ETag", strconv.Quote(o.ETag))
}

func timeline(k *call) error {
	p, err := k.page()
	if err != nil {
		return err
	}
	from, err := k.following()
	if err != nil {
		return err
	}
	events, err := k.cfg.Pipeline.Timeline(k.context(), k.actor, registry.ObjectID(k.id), from, p.Limit)
	if err != nil {
		return err
	}
	if events == nil {
		events = []registry.Event{}
	}
	return k.json(fasthttp.StatusOK, struct {
		ObjectID string           `json:"object_id"`
		Events   []registry.Event `json:"events"`
	}{k.id, events})
}

func revokeURL(k *call) error {
	if err := k.cfg.Pipeline.RevokeURL(k.context(), k.actor, registry.GrantID(k.id)); err != nil {
		return err
	}
	return k.noContent()
}
