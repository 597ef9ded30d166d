package s3api

import (
	"encoding/xml"
	"errors"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
)

// maxConfig bounds a bucket's configuration in a request, in bytes: what S3 says
// of CORS, which may be the longest but for lifecycle rules.
const maxConfig = 64 << 10

// admitConfig is the admission of a small configuration.
func (a *API) admitConfig(ctx *fasthttp.RequestCtx, r *request) error {
	return r.admitUpTo(ctx, maxConfig)
}

// admitLifecycle is the admission of up to a thousand rules.
func (a *API) admitLifecycle(ctx *fasthttp.RequestCtx, r *request) error {
	return r.admitUpTo(ctx, maxDocument)
}

// admitUpTo refuses a document that is longer than most bytes.
func (r *request) admitUpTo(ctx *fasthttp.RequestCtx, most int) error {
	if err := r.admitDocument(ctx); err != nil {
		return err
	}
	if ctx.Request.Header.ContentLength() > most {
		return refuse(codeMessageTooLong, element{"MaxMessageLengthBytes", itoa(int64(most))})
	}
	return nil
}

// checkedDocument reads the body and holds it against every digest that the
// headers declare.
func (a *API) checkedDocument(c *fiber.Ctx, r *request) ([]byte, error) {
	b, err := a.document(c, r)
	if err != nil {
		return nil, err
	}
	return b, r.checkDocument(c.Context(), b)
}

// configError says what the ledger has against a configuration. What a client can
// get wrong was told in AWS's words before; this is for the rest.
func configError(err error) error {
	if errors.Is(err, registry.ErrInvalid) {
		return &refused{code: codeInvalidArgument, cause: err}
	}
	return bucketError(err)
}

// versioningDocument is a VersioningConfiguration; see
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html.
type versioningDocument struct {
	XMLName   xml.Name `xml:"VersioningConfiguration"`
	Status    *string
	MfaDelete *string
}

func readVersioning(b []byte) (registry.Versioning, error) {
	var d versioningDocument
	if err := decodeShaped(b, shape{"VersioningConfiguration": "Status MfaDelete"}, &d); err != nil {
		return "", err
	}
	if d.MfaDelete != nil {
		switch strings.TrimSpace(*d.MfaDelete) {
		case "Disabled":
		case "Enabled":
			return "", say(codeNotImplemented, answers[codeNotImplemented].message+" MFA delete is not offered by this server.")
		default:
			return "", refuse(codeMalformedXML)
		}
	}
	if d.Status == nil {
		return "", say(codeIllegalVersioning, "The Versioning element must be specified")
	}
	switch v := registry.Versioning(strings.TrimSpace(*d.Status)); v {
	case registry.VersioningEnabled, registry.VersioningSuspended:
		return v, nil
	}
	return "", refuse(codeMalformedXML)
}

func (a *API) bucketVersioning(c *fiber.Ctx, r *request) error {
	b, err := a.pipeline.Bucket(background(), r.actor(), r.bucket)
	if err != nil {
		return bucketError(err)
	}
	d := newDocument("VersioningConfiguration")
	if b.Versioning != registry.VersioningOff {
		d.text("Status", string(b.Versioning))
	}
	sendXML(c.Context(), d)
	return nil
}

func (a *API) setBucketVersioning(c *fiber.Ctx, r *request) error {
	b, err := a.checkedDocument(c, r)
	if err != nil {
		return err
	}
	v, err := readVersioning(b)
	if err != nil {
		return err
	}
	err = a.pipeline.SetVersioning(background(), r.actor(), r.bucket, v)
	if errors.Is(err, registry.ErrConflict) {
		return say(codeInvalidBucketState, "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.")
	}
	return configError(err)
}

// lockDocument is an ObjectLockConfiguration; see
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html.
type lockDocument struct {
	XMLName           xml.Name `xml:"ObjectLockConfiguration"`
	ObjectLockEnabled string
	Rule              *struct {
		DefaultRetention *struct {
			Mode  string
			Days  *int
			Years *int
		}
	}
}

func readLock(b []byte) (registry.BucketLock, error) {
	var d lockDocument
	err := decodeShaped(b, shape{
		"ObjectLockConfiguration": "ObjectLockEnabled Rule",
		"Rule":                    "DefaultRetention",
		"DefaultRetention":        "Mode Days Years",
	}, &d)
	if err != nil {
		return registry.BucketLock{}, err
	}
	if strings.TrimSpace(d.ObjectLockEnabled) != "Enabled" {
		return registry.BucketLock{}, refuse(codeMalformedXML)
	}
	if d.Rule == nil {
		return registry.BucketLock{}, nil
	}
	of := d.Rule.DefaultRetention
	if of == nil || (of.Days == nil) == (of.Years == nil) {
		return registry.BucketLock{}, refuse(codeMalformedXML)
	}
	lock := registry.BucketLock{Mode: registry.LockMode(strings.TrimSpace(of.Mode))}
	if lock.Mode != registry.LockGovernance && lock.Mode != registry.LockCompliance {
		return registry.BucketLock{}, refuse(codeMalformedXML)
	}
	period := of.Days
	if of.Years != nil {
		lock.Years, period = *of.Years, of.Years
	} else {
		lock.Days = *of.Days
	}
	const century = 100 // the longest there is, in years
	switch {
	case *period <= 0:
		return lock, say(codeInvalidRetentionPeriod, "Default retention period must be a positive integer value.")
	case lock.Years > century, lock.Days > century*365:
		return lock, say(codeInvalidRetentionPeriod, "The retention period is too large.")
	}
	return lock, nil
}

func (a *API) bucketLock(c *fiber.Ctx, r *request) error {
	b, err := a.pipeline.Bucket(background(), r.actor(), r.bucket)
	if err != nil {
		return bucketError(err)
	}
	if b.Lock == nil {
		return notConfigured("ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket")
	}
	d := newDocument("ObjectLockConfiguration")
	d.text("ObjectLockEnabled", "Enabled")
	if b.Lock.Mode != "" {
		d.open("Rule")
		d.open("DefaultRetention")
		d.text("Mode", string(b.Lock.Mode))
		if b.Lock.Years > 0 {
			d.number("Years", int64(b.Lock.Years))
		} else {
			d.number("Days", int64(b.Lock.Days))
		}
		d.close("DefaultRetention")
		d.close("Rule")
	}
	sendXML(c.Context(), d)
	return nil
}

func (a *API) setBucketLock(c *fiber.Ctx, r *request) error {
	b, err := a.checkedDocument(c, r)
	if err != nil {
		return err
	}
	lock, err := readLock(b)
	if err != nil {
		return err
	}
	err = a.pipeline.SetBucketLock(background(), r.actor(), r.bucket, lock)
	if errors.Is(err, registry.ErrConflict) {
		return say(codeInvalidBucketState, "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
	}
	return configError(err)
}
