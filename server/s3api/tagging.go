package s3api

import (
	"bytes"
	"encoding/xml"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// What S3 allows of tags, lengths in characters; see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html.
const (
	maxObjectTags = 10
	maxTagKey     = 128
	maxTagValue   = 256
)

// tag is one tag as a client sent it.
type tag struct{ key, value string }

// objectTags is GetObjectTagging.
func (a *API) objectTags(c *fiber.Ctx, r *request) error {
	found, err := a.findVersion(r)
	if err != nil {
		return err
	}
	if err := a.setVersion(&c.Context().Response.Header, &found.Object); err != nil {
		return err
	}
	d := newDocument("Tagging")
	d.tagSet(found.Object.Tags)
	sendXML(c.Context(), d)
	return nil
}

// setObjectTags is PutObjectTagging.
func (a *API) setObjectTags(c *fiber.Ctx, r *request) error {
	var t taggingDocument
	if err := a.readShaped(c, r, taggingShape, &t); err != nil {
		return err
	}
	tags, err := t.tags()
	if err != nil {
		return err
	}
	if len(tags) > maxObjectTags {
		return say(codeBadRequest, "Object tags cannot be greater than 10")
	}
	return a.changeTags(c, r, tags)
}

// deleteObjectTags is DeleteObjectTagging.
func (a *API) deleteObjectTags(c *fiber.Ctx, r *request) error {
	c.Context().SetStatusCode(fasthttp.StatusNoContent)
	return a.changeTags(c, r, nil)
}

func (a *API) changeTags(c *fiber.Ctx, r *request, tags map[string]string) error {
	version, err := r.version()
	if err != nil {
		return err
	}
	o, err := a.pipeline.SetTags(background(), r.actor(), r.bucket, r.key, version, tags)
	if err != nil {
		return a.versionError(r, version, err)
	}
	return a.setVersion(&c.Context().Response.Header, &o)
}

// tagSet writes tags, in the order of their keys.
func (d *document) tagSet(tags map[string]string) {
	keys := make([]string, 0, len(tags))
	for k := range tags {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	d.open("TagSet")
	for _, k := range keys {
		d.open("Tag")
		d.text("Key", k)
		d.text("Value", tags[k])
		d.close("Tag")
	}
	d.close("TagSet")
}

// taggingDocument is what tags come in, for objects and for buckets.
type taggingDocument struct {
	XMLName xml.Name `xml:"Tagging"`
	TagSet  *struct {
		Tags []struct {
			Key   *string `xml:"Key"`
			Value *string `xml:"Value"`
		} `xml:"Tag"`
	} `xml:"TagSet"`
}

var taggingShape = shape{"Tagging": "TagSet", "TagSet": "Tag*", "Tag": "Key Value"}

// tags returns the tags of the document. How many there may be is the caller's to
// say.
func (t *taggingDocument) tags() (map[string]string, error) {
	if t.TagSet == nil {
		return nil, refuse(codeMalformedXML)
	}
	list := make([]tag, 0, len(t.TagSet.Tags))
	for _, x := range t.TagSet.Tags {
		if x.Key == nil || x.Value == nil {
			return nil, refuse(codeMalformedXML)
		}
		list = append(list, tag{*x.Key, *x.Value})
	}
	return checkTags(list)
}

// taggingHeader reads x-amz-tagging: tags as the parameters of a query.
func (r *request) taggingHeader() (map[string]string, error) {
	header := r.header(settingTagging)
	if header == "" {
		return nil, nil
	}
	list, ok := parseTags(header)
	if !ok {
		return nil, badTagging(header)
	}
	if len(list) > maxObjectTags {
		return nil, say(codeBadRequest, "Object tags cannot be greater than 10")
	}
	return checkTags(list)
}

func badTagging(header string) error {
	return say(codeInvalidArgument,
		"The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
		element{"ArgumentName", settingTagging}, element{"ArgumentValue", strings.ToValidUTF8(header, "\uFFFD")})
}

// parseTags takes the header apart. "a" is a tag without a value; no key may come
// twice.
func parseTags(header string) (list []tag, ok bool) {
	for pair := range strings.SplitSeq(header, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		key, badKey := url.QueryUnescape(k)
		value, badValue := url.QueryUnescape(v)
		if badKey != nil || badValue != nil || !utf8.ValidString(key) || !utf8.ValidString(value) ||
			slices.ContainsFunc(list, func(t tag) bool { return t.key == key }) {
			return nil, false
		}
		list = append(list, tag{key, value})
	}
	return list, true
}

// checkTags holds every tag against S3's rules.
func checkTags(list []tag) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	tags := make(map[string]string, len(list))
	for _, t := range list {
		_, twice := tags[t.key]
		switch {
		case twice:
			return nil, say(codeInvalidTag, "Cannot provide multiple Tags with the same key", element{"TagKey", t.key})
		case t.key == "" || utf8.RuneCountInString(t.key) > maxTagKey || strings.ContainsFunc(t.key, notInTag):
			return nil, say(codeInvalidTag, "The TagKey you have provided is invalid", element{"TagKey", t.key})
		case len(t.key) >= 4 && strings.EqualFold(t.key[:4], "aws:"):
			return nil, say(codeInvalidTag, "System tags cannot be added/updated by requester", element{"TagKey", t.key})
		case utf8.RuneCountInString(t.value) > maxTagValue || strings.ContainsFunc(t.value, notInTag):
			return nil, say(codeInvalidTag, "The TagValue you have provided is invalid",
				element{"TagKey", t.key}, element{"TagValue", t.value})
		}
		tags[t.key] = t.value
	}
	return tags, nil
}

// notInTag tells whether a character cannot stand in a tag.
func notInTag(c rune) bool {
	return !unicode.IsLetter(c) && !unicode.IsMark(c) && !unicode.IsNumber(c) && !unicode.Is(unicode.Zs, c) &&
		!bytes.ContainsRune([]byte("+-=._:/@"), c)
}
