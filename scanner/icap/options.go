package icap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// optionsEvery bounds how long options are believed, whatever their Options-TTL says: the tag in
// them names the signatures in use.
const optionsEvery = time.Minute

// maxPreview bounds a preview, in bytes.
const maxPreview = 64 << 10

// errUnfit: the service takes neither requests nor answers.
var errUnfit = errors.New("icap: the service has neither RESPMOD nor REQMOD")

// options are what a service says of itself.
type options struct {
	method  string // "RESPMOD" or "REQMOD"
	preview int    // bytes; -1 without
	allows  bool   // 204 outside of previews
	service string
	tag     string // changes with the service's signatures
	at      time.Time
}

// version is the service's, for the record.
func (o *options) version() string {
	if o.tag == "" {
		return o.service
	}
	return o.service + " " + o.tag
}

// current returns options that are not too old.
func (e *Engine) current(ctx context.Context) (*options, error) {
	e.mu.Lock()
	o := e.options
	e.mu.Unlock()
	if o != nil && e.cfg.Now().Sub(o.at).Abs() < optionsEvery {
		return o, nil
	}
	return e.refresh(ctx)
}

// refresh asks for the options on a connection of its own. An error wraps
// scanner.ErrDown, unless ctx ended.
func (e *Engine) refresh(ctx context.Context) (*options, error) {
	o, err := e.fetch(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, down(fmt.Errorf("options: %w", err))
	}
	e.mu.Lock()
	e.options = o
	e.mu.Unlock()
	return o, nil
}

func (e *Engine) fetch(ctx context.Context) (*options, error) {
	c, err := e.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	return c.options()
}

// options asks for the service's options.
func (c *conn) options() (*options, error) {
	// So short a request never waits for room.
	if _, err := c.Conn.Write([]byte(c.request("OPTIONS", "Encapsulated: null-body=0"))); err != nil {
		return nil, err
	}
	code, header, err := c.answer()
	if err != nil {
		return nil, err
	}
	if code != 200 {
		return nil, status(code)
	}
	o := &options{
		preview: -1, service: printable(header.Get("Service")),
		tag: printable(strings.Trim(header.Get("ISTag"), `"`)), at: c.engine.cfg.Now(),
	}
	for _, method := range []string{"RESPMOD", "REQMOD"} {
		if o.method == "" && slices.Contains(words(header.Values("Methods")), method) {
			o.method = method
		}
	}
	if o.method == "" {
		return nil, errUnfit
	}
	o.allows = slices.Contains(words(header.Values("Allow")), "204")
	if text := header.Get("Preview"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%w: a preview of %.40q", errGarbage, text)
		}
		o.preview = min(n, maxPreview)
	}
	return o, nil
}

// words splits the values of a header at their commas.
func words(values []string) []string {
	return strings.FieldsFunc(strings.Join(values, ","), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

// version is that of the options that were heard last.
func (e *Engine) version() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.options == nil {
		return ""
	}
	return e.options.version()
}

// Version asks the service for its name and for the tag of its signatures. An error wraps
// scanner.ErrDown, unless ctx ended.
func (e *Engine) Version(ctx context.Context) (string, error) {
	o, err := e.refresh(ctx)
	if err != nil {
		return "", err
	}
	return o.version(), nil
}

// maxName bounds what a service may name, in bytes.
const maxName = 200

// Ping asks the service whether it works. An error wraps scanner.ErrDown, unless ctx
// ended.
func (e *Engine) Ping(ctx context.Context) error {
	_, err := e.refresh(ctx)
	return err
}

// printable is a name that may stand in a log, an audit event and a page.
func printable(name string) string {
	if len(name) > maxName {
		name = name[:maxName]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
}
