package s3api

import (
	"encoding/xml"
	"errors"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
)

// The headers of object lock, and of what it can be bypassed with; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html.
const (
	lockModeHeader  = settingLock + "mode"
	lockUntilHeader = settingLock + "retain-until-date"
	lockHoldHeader  = settingLock + "legal-hold"
	bypassHeader    = "x-amz-bypass-governance-retention"
)

// bypass tells whether governance retention shall not stand in the way.
func (r *request) bypass() bool { return strings.EqualFold(r.header(bypassHeader), "true") }

// lockHeaders reads how a write wants its object locked.
func (a *API) lockHeaders(r *request) (retention *registry.Retention, hold bool, err error) {
	mode, until := r.header(lockModeHeader), r.header(lockUntilHeader)
	switch {
	case mode == "" && until == "":
	case mode == "" || until == "":
		missing := lockModeHeader
		if until == "" {
			missing = lockUntilHeader
		}
		return nil, false, say(codeInvalidArgument,
			"x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied", element{"ArgumentName", missing})
	default:
		if retention, err = a.retentionOf(mode, until); err != nil {
			return nil, false, err
		}
	}
	switch v := r.header(lockHoldHeader); v {
	case "", "OFF":
	case "ON":
		hold = true
	default:
		return nil, false, say(codeInvalidArgument, "Legal Hold must be either of 'ON' or 'OFF'",
			element{"ArgumentName", lockHoldHeader}, element{"ArgumentValue", v})
	}
	return retention, hold, nil
}

// retentionOf reads a retention's mode and date. A date that is past would lock
// nothing, which nobody means.
func (a *API) retentionOf(mode, until string) (*registry.Retention, error) {
	m := registry.LockMode(mode)
	if m != registry.LockGovernance && m != registry.LockCompliance {
		return nil, say(codeInvalidArgument, "Unknown wormMode directive.",
			element{"ArgumentName", lockModeHeader}, element{"ArgumentValue", mode})
	}
	t, err := time.Parse(time.RFC3339, until)
	if err != nil {
		return nil, say(codeInvalidArgument, "The retain until date must be provided in ISO 8601 format",
			element{"ArgumentName", lockUntilHeader}, element{"ArgumentValue", until})
	}
	if !t.After(a.cfg.Now()) {
		return nil, say(codeInvalidArgument, "The retain until date must be in the future!",
			element{"ArgumentName", lockUntilHeader}, element{"ArgumentValue", until})
	}
	return &registry.Retention{Mode: m, Until: t.UTC()}, nil
}

// setLock shows how an object is locked.
func setLock(h *fasthttp.ResponseHeader, o *registry.Object) {
	if o.Retention != nil {
		h.Set(lockModeHeader, string(o.Retention.Mode))
		h.Set(lockUntilHeader, o.Retention.Until.UTC().Format(isoMillis))
	}
	if o.LegalHold {
		h.Set(lockHoldHeader, "ON")
	}
}

// lockError says that a bucket cannot lock, where that is what is wrong.
func lockError(err error) error {
	if errors.Is(err, registry.ErrConflict) {
		return say(codeInvalidRequest, "Bucket is missing Object Lock Configuration")
	}
	return err
}

// findLocked finds a version in a bucket that can lock.
func (a *API) findLocked(r *request) (*registry.Object, error) {
	found, err := a.findVersion(r)
	if err != nil {
		return nil, err
	}
	b, err := a.ledger.Bucket(background(), r.actor().Tenant, r.bucket)
	if err != nil {
		return nil, bucketError(err)
	}
	if b.Lock == nil {
		return nil, lockError(registry.ErrConflict)
	}
	return &found.Object, nil
}

// retention is GetObjectRetention.
func (a *API) retention(c *fiber.Ctx, r *request) error {
	o, err := a.findLocked(r)
	if err != nil {
		return err
	}
	if o.Retention == nil {
		return refuse(codeNoSuchLock)
	}
	d := newDocument("Retention")
	d.text("Mode", string(o.Retention.Mode))
	d.moment("RetainUntilDate", o.Retention.Until)
	sendXML(c.Context(), d)
	return nil
}

// setRetention is PutObjectRetention. An empty document removes what governance
// retains.
func (a *API) setRetention(c *fiber.Ctx, r *request) error {
	var doc struct {
		XMLName xml.Name `xml:"Retention"`
		Mode    string   `xml:"Mode"`
		Until   string   `xml:"RetainUntilDate"`
	}
	if err := a.readShaped(c, r, shape{"Retention": "Mode RetainUntilDate"}, &doc); err != nil {
		return err
	}
	version, err := r.version()
	if err != nil {
		return err
	}
	retention, err := a.retentionDocument(doc.Mode, strings.TrimSpace(doc.Until))
	if err != nil {
		return err
	}
	_, err = a.pipeline.SetRetention(background(), r.actor(), r.bucket, r.key, version, retention, registry.Bypass(r.bypass()))
	return a.versionError(r, version, lockError(err))
}

// retentionDocument is retentionOf for the document, where what is not a mode or a
// date is not well formed. It returns nil for an empty one.
func (a *API) retentionDocument(mode, until string) (*registry.Retention, error) {
	if mode == "" && until == "" {
		return nil, nil
	}
	if _, err := time.Parse(time.RFC3339, until); err != nil ||
		mode != string(registry.LockGovernance) && mode != string(registry.LockCompliance) {
		return nil, refuse(codeMalformedXML)
	}
	return a.retentionOf(mode, until)
}

// legalHold is GetObjectLegalHold.
func (a *API) legalHold(c *fiber.Ctx, r *request) error {
	o, err := a.findLocked(r)
	if err != nil {
		return err
	}
	status := "OFF"
	if o.LegalHold {
		status = "ON"
	}
	d := newDocument("LegalHold")
	d.text("Status", status)
	sendXML(c.Context(), d)
	return nil
}

// setLegalHold is PutObjectLegalHold.
func (a *API) setLegalHold(c *fiber.Ctx, r *request) error {
	var doc struct {
		XMLName xml.Name `xml:"LegalHold"`
		Status  string   `xml:"Status"`
	}
	if err := a.readShaped(c, r, shape{"LegalHold": "Status"}, &doc); err != nil {
		return err
	}
	if doc.Status != "ON" && doc.Status != "OFF" {
		return refuse(codeMalformedXML)
	}
	version, err := r.version()
	if err != nil {
		return err
	}
	_, err = a.pipeline.SetLegalHold(background(), r.actor(), r.bucket, r.key, version, registry.Hold(doc.Status == "ON"))
	return a.versionError(r, version, lockError(err))
}
