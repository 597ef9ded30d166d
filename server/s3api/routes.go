package s3api

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"sallyport/registry/policy"
)

// route is one operation.
type route struct {
	method string
	level  level
	// sub is the query key that makes this another operation than the one of
	// method and level alone ("a sub-resource"); "" if none does.
	sub string
	// header is a header, in lower case, whose presence makes this another
	// operation than the one without; "" if none does.
	header string
	op     string // AWS's name of it: for logs, metrics and records
	action policy.Action
	// settings are what the x-amz-* names begin with that this operation
	// understands beyond what all do; see checkSettings.
	settings []string
	// arguments are the query keys that say how, and not what. A read may carry
	// others, a write may not.
	arguments []string
	// streams: the body may be framed in aws-chunked.
	streams bool
	// admit looks at the headers; nil if there is nothing to see.
	admit  func(*API, *fasthttp.RequestCtx, *request) error
	handle func(*API, *fiber.Ctx, *request) error
}

// takes tells whether a query key is an argument of the operation.
func (t *route) takes(name string) bool { return slices.Contains(t.arguments, name) }

// understands tells whether the operation knows a setting.
func (t *route) understands(name string) bool {
	return slices.ContainsFunc(t.settings, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// allRoutes is everything the port speaks with a user's key.
func allRoutes() []route {
	return slices.Concat(objectRoutes, multipartRoutes, bucketRoutes, serviceRoutes, absentRoutes())
}

// urlRoutes is everything the port speaks with a signed URL.
var urlRoutes = []route{
	{method: "PUT", level: uploadURL, op: "UploadByURL", admit: (*API).admitUpload, handle: (*API).putUpload},
	{method: "GET", level: objectURL, op: "DownloadByURL", admit: (*API).admitDownload, handle: (*API).getDownload},
	{method: "HEAD", level: objectURL, op: "DownloadByURL", admit: (*API).admitDownload, handle: (*API).getDownload},
}

// preflightRoute answers browsers' questions, on any path and without a
// credential.
var preflightRoute = route{op: "Preflight", handle: (*API).preflight}

// selector is what of a request chooses the operation, but for a header.
type selector struct {
	method string
	level  level
	sub    string
}

// switchboard finds operations. It is only read once it is made.
type switchboard struct {
	routes map[selector][]*route // those that a header selects come first
	// subs are all sub-resources there are, each with itself: a look-up by bytes
	// gives a string without making one.
	subs map[string]string
}

func newSwitchboard(routes []route) switchboard {
	s := switchboard{routes: map[selector][]*route{}, subs: map[string]string{}}
	for i := range routes {
		t := &routes[i]
		at := selector{t.method, t.level, t.sub}
		if t.header != "" {
			s.routes[at] = append([]*route{t}, s.routes[at]...)
		} else {
			s.routes[at] = append(s.routes[at], t)
		}
		if t.sub != "" {
			s.subs[t.sub] = t.sub
		}
	}
	return s
}

// find returns the operation that a request asks for.
func (s *switchboard) find(r *request) (*route, error) {
	sub, arguments, err := s.subresource(r)
	if err != nil {
		return nil, err
	}
	for _, t := range s.routes[selector{string(r.proof.Request.Method), r.level, sub}] {
		if t.header != "" {
			if _, ok := r.proof.Claim.Value(&r.proof.Request, t.header); !ok {
				continue
			}
		}
		if arguments {
			err = s.checkArguments(r, t)
		}
		return t, err
	}
	return nil, s.unrouted(r, sub)
}

// unrouted says what is wrong with a request that no operation is for.
func (s *switchboard) unrouted(r *request, sub string) error {
	if sub == "" {
		return refuse(codeMethodNotAllowed)
	}
	for _, method := range [...]string{"GET", "PUT", "POST", "DELETE"} {
		if len(s.routes[selector{method, r.level, sub}]) > 0 {
			return refuse(codeMethodNotAllowed)
		}
	}
	return refuse(codeNotImplemented)
}

// subresource returns the query key that selects the operation, "" if none does,
// and whether there are other keys that are not about signing.
func (s *switchboard) subresource(r *request) (sub string, arguments bool, err error) {
	for name := range r.proof.Request.Params() {
		known, selects := s.subs[string(name)]
		switch {
		case isExtension(name):
		case !selects:
			arguments = true
		case sub == "" || sub == known:
			sub = known
		default:
			return "", false, say(codeInvalidArgument, "Conflicting query string parameters: "+sub+", "+known,
				element{"ArgumentName", "ResourceType"}, element{"ArgumentValue", sub})
		}
	}
	return sub, arguments, nil
}

// isExtension tells whether a query key belongs to signing (X-Amz-Signature …),
// to an SDK (x-id) or to whoever wrote the application: AWS leaves those that begin
// with x- to him.
func isExtension(name []byte) bool {
	return len(name) > 2 && (name[0] == 'x' || name[0] == 'X') && name[1] == '-'
}

// checkArguments refuses query keys that nobody knows, for they may be meant to
// select what is not there. What a client may add to a read without meaning
// (name=value) is passed over; a write passes over nothing.
func (s *switchboard) checkArguments(r *request, t *route) error {
	reads := t.method == "GET" || t.method == "HEAD"
	for key, value := range r.proof.Request.Params() {
		if isExtension(key) || s.subs[string(key)] != "" {
			continue
		}
		name := string(key)
		switch {
		case t.takes(name):
		case name == "versionId":
			return say(codeInvalidArgument, "This operation does not accept a version-id.",
				element{"ArgumentName", name}, element{"ArgumentValue", string(value)})
		case !reads, name == "partNumber", len(value) == 0 && !isArgument(name):
			return refuse(codeNotImplemented)
		}
	}
	return nil
}

// isArgument tells whether a query key is an argument of some read, which may be
// empty.
func isArgument(name string) bool {
	switch name {
	case "prefix", "delimiter", "marker", "max-keys", "encoding-type", "list-type",
		"continuation-token", "start-after", "fetch-owner", "max-buckets", "bucket-region",
		"key-marker", "version-id-marker", "upload-id-marker", "max-uploads", "max-parts", "part-number-marker":
		return true
	}
	return strings.HasPrefix(name, "response-")
}

func urlRoute(method string, at level) *route {
	for i := range urlRoutes {
		if t := &urlRoutes[i]; t.level == at && t.method == method {
			return t
		}
	}
	return nil
}
