package s3api

import (
	"encoding/xml"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/server"
)

// maxCORSRules is how many rules S3 allows a bucket.
const maxCORSRules = 100

// corsDocument is a CORSConfiguration; see
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html.
type corsDocument struct {
	XMLName xml.Name `xml:"CORSConfiguration"`
	Rules   []struct {
		ID             string
		AllowedOrigins []string `xml:"AllowedOrigin"`
		AllowedMethods []string `xml:"AllowedMethod"`
		AllowedHeaders []string `xml:"AllowedHeader"`
		ExposeHeaders  []string `xml:"ExposeHeader"`
		MaxAgeSeconds  int32
	} `xml:"CORSRule"`
}

func corsShape() shape {
	return shape{
		"CORSConfiguration": "CORSRule*",
		"CORSRule":          "ID AllowedOrigin* AllowedMethod* AllowedHeader* ExposeHeader* MaxAgeSeconds",
	}
}

// readCORS reads a document and says what is wrong with it in AWS's words.
func readCORS(b []byte) ([]registry.CORSRule, error) {
	var d corsDocument
	if err := decodeShaped(b, corsShape(), &d); err != nil {
		return nil, err
	}
	switch {
	case len(d.Rules) == 0:
		return nil, refuse(codeMalformedXML)
	case len(d.Rules) > maxCORSRules:
		return nil, say(codeInvalidRequest, "The number of CORS rules should not exceed allowed limit of 100 rules.")
	}
	rules := make([]registry.CORSRule, 0, len(d.Rules))
	for _, r := range d.Rules {
		rule := registry.CORSRule{
			ID: r.ID, AllowedOrigins: trimmed(r.AllowedOrigins), AllowedMethods: trimmed(r.AllowedMethods),
			AllowedHeaders: trimmed(r.AllowedHeaders), ExposeHeaders: trimmed(r.ExposeHeaders), MaxAge: int(r.MaxAgeSeconds),
		}
		if err := checkCORSRule(&rule); err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func trimmed(list []string) []string {
	for i, s := range list {
		list[i] = strings.TrimSpace(s)
	}
	return list
}

func checkCORSRule(r *registry.CORSRule) error {
	if len(r.AllowedOrigins) == 0 || len(r.AllowedMethods) == 0 || r.MaxAge < 0 ||
		slices.Contains(slices.Concat(r.AllowedOrigins, r.AllowedMethods, r.AllowedHeaders, r.ExposeHeaders), "") {
		return refuse(codeMalformedXML)
	}
	if len(r.ID) > 255 {
		return say(codeInvalidRequest, "The CORS rule ID should not exceed allowed limit of 255 characters.")
	}
	for _, m := range r.AllowedMethods {
		if !slices.Contains([]string{"GET", "PUT", "POST", "DELETE", "HEAD"}, m) {
			return say(codeInvalidRequest, "Found unsupported HTTP method in CORS config. Unsupported method is "+m)
		}
	}
	for _, o := range r.AllowedOrigins {
		if strings.Count(o, "*") > 1 {
			return say(codeInvalidRequest, `AllowedOrigin "`+o+`" can not have more than one wildcard.`)
		}
	}
	for _, h := range r.AllowedHeaders {
		if strings.Count(h, "*") > 1 {
			return say(codeInvalidRequest, `AllowedHeader "`+h+`" can not have more than one wildcard.`)
		}
	}
	for _, h := range r.ExposeHeaders {
		if strings.Contains(h, "*") {
			return say(codeInvalidRequest, `ExposeHeader "`+h+`" contains wildcard. We currently do not support wildcard for ExposeHeader.`)
		}
		// It goes into a header of ours.
		if strings.ContainsFunc(strings.ToLower(h), notInName) {
			return say(codeInvalidRequest, `ExposeHeader "`+h+`" contains invalid character.`)
		}
	}
	return nil
}

func (a *API) bucketCORS(c *fiber.Ctx, r *request) error {
	rules, err := a.pipeline.CORS(background(), r.actor(), r.bucket)
	switch {
	case errors.Is(err, registry.ErrNotConfigured):
		return notConfigured("NoSuchCORSConfiguration", "The CORS configuration does not exist")
	case err != nil:
		return bucketError(err)
	}
	d := newDocument("CORSConfiguration")
	for _, r := range rules {
		d.open("CORSRule")
		if r.ID != "" {
			d.text("ID", r.ID)
		}
		d.texts("AllowedMethod", r.AllowedMethods)
		d.texts("AllowedOrigin", r.AllowedOrigins)
		d.texts("AllowedHeader", r.AllowedHeaders)
		d.texts("ExposeHeader", r.ExposeHeaders)
		if r.MaxAge > 0 {
			d.number("MaxAgeSeconds", int64(r.MaxAge))
		}
		d.close("CORSRule")
	}
	sendXML(c.Context(), d)
	return nil
}

func (a *API) setBucketCORS(c *fiber.Ctx, r *request) error {
	b, err := a.checkedDocument(c, r)
	if err != nil {
		return err
	}
	rules, err := readCORS(b)
	if err != nil {
		return err
	}
	return configError(a.pipeline.SetCORS(background(), r.actor(), r.bucket, rules))
}

func (a *API) deleteBucketCORS(c *fiber.Ctx, r *request) error {
	c.Context().SetStatusCode(fasthttp.StatusNoContent)
	return bucketError(a.pipeline.SetCORS(background(), r.actor(), r.bucket, nil))
}

// corsOf is a bucket's rules as the listener applies them.
func corsOf(rules []registry.CORSRule) server.CORSRules {
	out := make(server.CORSRules, 0, len(rules)+1)
	for _, r := range rules {
		out = append(out, server.CORS{
			AllowedOrigins: r.AllowedOrigins, AllowedMethods: r.AllowedMethods, AllowedHeaders: r.AllowedHeaders,
			ExposeHeaders: r.ExposeHeaders, MaxAge: time.Duration(r.MaxAge) * time.Second,
		})
	}
	return out
}
