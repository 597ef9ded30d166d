package s3api

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"sallyport/registry"
	"sallyport/registry/pipeline"
	"sallyport/server"
)

// span is the part of an object that a read asks for.
type span struct {
	off, n  int64
	partial bool
	number  int // of the part, where it was asked for by number; else 0
	parts   int // how many the object has, where that is told; else 0
}

// span finds what a read asks for: a range, a part by its number, or the whole.
func (r *request) span(found *pipeline.Found, modified time.Time) (span, error) {
	o := &found.Object
	if r.level == objectLevel {
		if v, ok := r.proof.Request.Param("partNumber"); ok {
			return r.partSpan(found, string(v))
		}
	}
	header := r.header("range")
	if header == "" || !r.rangeApplies(o.ETag, modified) {
		return span{n: o.Size}, nil
	}
	return rangeSpan(header, o.Size)
}

// partSpan finds a part by its number. An object of one PUT is its own first part.
func (r *request) partSpan(found *pipeline.Found, value string) (span, error) {
	if r.header("range") != "" {
		return span{}, say(codeInvalidRequest, "Cannot specify both Range header and partNumber query parameter")
	}
	number, err := strconv.Atoi(value)
	if err != nil || number < 1 || number > registry.MaxParts {
		return span{}, say(codeInvalidArgument, "Part number must be an integer between 1 and 10000, inclusive",
			element{"ArgumentName", "partNumber"}, element{"ArgumentValue", value})
	}
	off, n, parts, err := found.PartSpan(background(), number)
	if errors.Is(err, pipeline.ErrPartNumber) {
		return span{}, refuse(codeInvalidPartNumber,
			element{"PartNumberRequested", value}, element{"ActualPartCount", itoa(int64(max(found.Object.PartCount, 1)))})
	}
	if found.Object.PartCount == 0 {
		parts = 0 // as S3 has it: what was not uploaded in parts has no count
	}
	return span{off: off, n: n, partial: n > 0, number: number, parts: parts}, err
}

// rangeSpan reads a Range header against an object of size bytes. S3 answers what
// is not one range of bytes with the whole object (RFC 9110, section 14.2,
// allows it); a range that begins behind the end is InvalidRange.
func rangeSpan(header string, size int64) (span, error) {
	whole := span{n: size}
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return whole, nil
	}
	first, last, ok := strings.Cut(strings.Trim(spec, " \t"), "-")
	if !ok {
		return whole, nil
	}
	if first == "" {
		n, ok := position(last)
		if !ok {
			return whole, nil
		}
		if n == 0 || size == 0 {
			return whole, unsatisfiable(header, size)
		}
		n = min(n, size)
		return span{off: size - n, n: n, partial: true}, nil
	}
	from, okFrom := position(first)
	to, okTo := size-1, true
	if last != "" {
		to, okTo = position(last)
	}
	switch {
	case !okFrom || !okTo || last != "" && to < from:
		return whole, nil
	case from >= size:
		return whole, unsatisfiable(header, size)
	}
	return span{off: from, n: min(to, size-1) - from + 1, partial: true}, nil
}

// rangeApplies evaluates If-Range (RFC 9110, section 13.1.5): the part is
// wanted only of the object the client knows.
func (r *request) rangeApplies(etag string, modified time.Time) bool {
	value := r.header("if-range")
	switch {
	case value == "":
		return true
	case strings.HasPrefix(value, `"`):
		return value == quoted(etag)
	}
	return value == httpDate(modified)
}

// position reads a number of bytes. More digits than any object needs are a
// position behind every end.
func position(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<63 - 1, true
	}
	return n, true
}

func unsatisfiable(header string, size int64) error {
	e := refuse(codeInvalidRange,
		element{"RangeRequested", header}, element{"ActualObjectSize", itoa(size)})
	e.header = []server.Field{{Name: "Content-Range", Value: "bytes */" + itoa(size)}}
	return e
}

// contentRange is the header of a partial answer.
func (s span) contentRange(size int64) string {
	return "bytes " + itoa(s.off) + "-" + itoa(s.off+s.n-1) + "/" + itoa(size)
}
