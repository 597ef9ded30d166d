package control

import (
	"fmt"
	"strconv"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
	"sallyport/server"
)

// ruling is an analyst's decision as analysts see it.
type ruling struct {
	Decision registry.Decision      `json:"decision"`
	Reason   string                 `json:"reason"`
	Note     string                 `json:"note,omitempty"`
	By       registry.PrincipalName `json:"by"`
	At       string                 `json:"at"`
}

func rulingOf(r *registry.Ruling) *ruling {
	if r == nil {
		return nil
	}
	return &ruling{Decision: r.Decision, Reason: r.Reason, Note: r.Note, By: r.By, At: stamp(r.At)}
}

// reviewer tells whether the caller is one of those who decide: what they wrote to one
// another is not for those whom it is about.
func (k *call) reviewer() bool {
	return policy.Allow(k.actor, policy.ReviewObject, "") == nil
}

// reviewBody is an analyst's decision.
type reviewBody struct {
	Decision registry.Decision `json:"decision"`
	Reason   string            `json:"reason"`
	Note     string            `json:"note"`
}

// reviewObject answers 202 where the decision waits for a second analyst.
func reviewObject(k *call) error {
	var in reviewBody
	if err := k.decode(&in); err != nil {
		return err
	}
	if in.Reason == "" {
		return fmt.Errorf("%w: reason is needed, a code such as false_positive", errInvalid)
	}
	o, err := k.cfg.Pipeline.Review(k.context(), k.actor, registry.ObjectID(k.id),
		registry.Ruling{Decision: in.Decision, Reason: in.Reason, Note: in.Note})
	if err != nil {
		return err
	}
	status := fasthttp.StatusOK
	if o.Proposal != nil {
		status = fasthttp.StatusAccepted
	}
	return k.json(status, k.objectRow(o))
}

func rescanObject(k *call) error {
	if err := k.decode(&struct{}{}); err != nil {
		return err
	}
	o, err := k.cfg.Pipeline.RescanObject(k.context(), k.actor, registry.ObjectID(k.id))
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusAccepted, k.objectRow(o))
}

// downloadOps are the operations that give out an object's bytes, on either port.
var downloadOps = []string{"GetObject", "DownloadByURL", "GetObjectContent", "GetRenditionContent"}

// downloadRow is one request that was given bytes of an object.
type downloadRow struct {
	Time       string                 `json:"time"`
	RequestID  string                 `json:"request_id"`
	Principal  registry.PrincipalName `json:"principal"`
	Credential string                 `json:"credential,omitempty"`
	Op         string                 `json:"op"`
	URLID      registry.GrantID       `json:"url_id,omitempty"`
	RemoteIP   string                 `json:"remote_ip,omitempty"`
	Status     int                    `json:"status"`
	BytesOut   int64                  `json:"bytes_out"`
}

func listDownloads(k *call) error {
	p, err := k.page()
	if err != nil {
		return err
	}
	var from uint64
	if p.Cursor != "" {
		if from, err = strconv.ParseUint(p.Cursor, 10, 63); err != nil || from == 0 {
			return fmt.Errorf("%w: cursor", errInvalid)
		}
	}
	list, next, err := k.cfg.Pipeline.Downloads(k.context(), k.actor, registry.ObjectID(k.id), downloadOps, from, p.Limit)
	if err != nil {
		return err
	}
	out := struct {
		ObjectID  string        `json:"object_id"`
		Downloads []downloadRow `json:"downloads"`
		Next      string        `json:"next_cursor,omitempty"`
	}{ObjectID: k.id, Downloads: make([]downloadRow, 0, len(list))}
	if next != 0 {
		out.Next = strconv.FormatUint(next, 10)
	}
	for _, r := range list {
		row := downloadRow{
			Time: stamp(r.Time), RequestID: r.RequestID, Principal: r.Principal, Credential: r.Credential,
			Op: r.Op, URLID: r.Grant, Status: r.Status, BytesOut: r.BytesOut,
		}
		if r.Remote.IsValid() {
			row.RemoteIP = r.Remote.String()
		}
		out.Downloads = append(out.Downloads, row)
	}
	return k.json(fasthttp.StatusOK, out)
}

// riskHeader is how an analyst says that bytes are wanted that nobody vouches for.
const riskHeader = "X-Sallyport-Accept-Risk"

// form is how the bytes of an object are given out.
type form string

const (
	formPlain form = ""    // published, as they are
	formRaw   form = "raw" // not published, as they are, labelled as nothing
	formZip   form = "zip" // in an encrypted archive
)

// wanted reads what the caller asks for.
func (k *call) wanted() (form, error) {
	if as, given := k.query["as"]; given {
		if as != string(formZip) {
			return "", fmt.Errorf("%w: as is zip", errInvalid)
		}
		return formZip, nil
	}
	switch string(k.ctx.Request.Header.Peek(riskHeader)) {
	case "":
		return formPlain, nil
	case "yes":
		return formRaw, nil
	}
	return "", fmt.Errorf("%w: %s is yes", errInvalid, riskHeader)
}

// findContent finds what the caller may read, and says in what form. What is not
// published is only for analysts who say that they know.
func (k *call) findContent() (*pipeline.Found, form, error) {
	how, err := k.wanted()
	if err != nil {
		return nil, "", err
	}
	id := registry.ObjectID(k.id)
	if how != formPlain && policy.Allow(k.actor, policy.ReadRejected, "") == nil {
		o, err := k.cfg.Pipeline.Object(k.context(), k.actor, id)
		if err != nil {
			return nil, "", err
		}
		if o.State != registry.ObjectPublished {
			found, err := k.cfg.Pipeline.ExamineObject(k.context(), k.actor, id, string(how))
			return found, how, err
		}
	}
	if how == formRaw {
		how = formPlain
	}
	found, err := k.cfg.Pipeline.FindObject(k.context(), k.actor, id)
	return found, how, err
}

// label is what bytes are called: those that nobody vouches for are nothing in
// particular.
func (f form) label(o *registry.Object) string {
	switch {
	case f == formRaw:
		return "application/octet-stream"
	case f == formZip:
		return "application/zip"
	case o.DetectedType != "":
		return o.DetectedType
	}
	return o.ContentType
}

// sendZip sends an object in an encrypted archive.
func (k *call) sendZip(found *pipeline.Found) error {
	o := &found.Object
	name := o.Filename
	if name == "" {
		name = string(o.ID)
	}
	z, err := newAESZip(name, o.CreatedAt, o.Size, zipPassword)
	if err != nil {
		return err
	}
	if k.ctx.IsHead() {
		server.DressDownload(&k.ctx.Response.Header, formZip.label(o), name+".zip")
		server.SendHead(k.c, z.size())
		return nil
	}
	r, err := found.Open(k.context(), 0, -1, server.Cut(k.c))
	if err != nil {
		return err
	}
	server.DressDownload(&k.ctx.Response.Header, formZip.label(o), name+".zip")
	server.SendReader(k.c, z.seal(r), z.size(), nil)
	return nil
}
