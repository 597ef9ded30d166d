package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"sallyport/registry"
)

// mode says when what is written to a bucket is inspected. ScanDefault is built-in
// inspection alone, before the answer: nothing else is there to ask. A bucket that does
// not publish at once is never inline, whatever its rules say. One that has renditions
// made always is, unless it is async: only engines make them.
func (p *Pipeline) mode(b *registry.Bucket) registry.ScanMode {
	m := b.Scan.Mode
	switch {
	case p.paints(b) && m != registry.ScanAsync:
		return registry.ScanInline
	case m == registry.ScanOff:
		return m
	case b.Intake != registry.IntakeDirect, m == registry.ScanAsync:
		return registry.ScanAsync
	case p.cfg.Judge == nil:
		return registry.ScanDefault
	case m == registry.ScanInline, p.cfg.Judge.Malware():
		return registry.ScanInline
	}
	return registry.ScanDefault
}

// paints tells whether renditions can be made before the answer. Where nothing is to be
// published without malware engines, what has none waits as before.
func (p *Pipeline) paints(b *registry.Bucket) bool {
	return b.Scan.Image != nil && b.Intake == registry.IntakeDirect && p.cfg.Judge != nil && !p.cfg.ScannerRequired
}

// repaints tells whether renditions of a copy are to be made anew: its bucket asks for
// some, and not for those that the source has.
func repaints(r, others registry.ScanRules, src *registry.Object) bool {
	if r.Image == nil || !strings.HasPrefix(src.DetectedType, "image/") {
		return false
	}
	return src.Renditions == 0 || others.Image == nil || !slices.Equal(r.Image.Thumbnails, others.Image.Thumbnails)
}

// rules are those of a bucket, for one of its objects. What comes through the S3 port to
// a bucket that publishes at once and names no types is taken for what it is, as S3
// does: programs and pages, too.
func rules(b *registry.Bucket, o *registry.Object) registry.ScanRules {
	r := b.Scan
	if anyContent(b, o) {
		r.Executables, r.Active = true, true
	}
	return r
}

// anyContent tells whether the type rule does not concern an object.
func anyContent(b *registry.Bucket, o *registry.Object) bool {
	return b.Intake == registry.IntakeDirect && len(b.AllowedTypes) == 0 && o.Upload == ""
}

// narrower tells whether rules refuse what others let pass, whichever malware engines
// they ask.
func narrower(r, others registry.ScanRules) bool {
	return others.Executables && !r.Executables || others.Active && !r.Active || r.Archive != others.Archive
}

// tee returns what the body of a write is to be copied to on its way, nil if nobody
// listens.
func (p *Pipeline) tee(ctx context.Context, b *registry.Bucket, size int64) io.WriteCloser {
	if p.mode(b) != registry.ScanInline {
		return nil
	}
	return p.cfg.Judge.Tee(ctx, rules(b, &registry.Object{}), size)
}

// judged is what inspection before the answer made of an object.
type judged struct {
	verdict    registry.Verdict // clean
	detected   string
	sha256     string // hex; "" if no engine has read all of it
	renditions []registry.Rendition
}

// judge has an object inspected that is about to be written to a bucket and whose
// bytes are durable. What is not clean is an error: ErrInfected, ErrRefused,
// ErrScanIncomplete, or ErrScanDown if nobody can say. dropKept is owed for the
// renditions of what is not written after all.
func (p *Pipeline) judge(ctx context.Context, b *registry.Bucket, o registry.Object, tee io.WriteCloser) (j judged, err error) {
	c := registry.Claim{Object: o, Rules: rules(b, &o)}
	open := func(ctx context.Context) (io.ReadCloser, error) { return p.Content(ctx, c) }
	keep := func(ctx context.Context, r registry.Rendition, body io.Reader) (registry.Rendition, error) {
		return p.Keep(ctx, c, r, body)
	}
	j.verdict, j.detected, err = p.cfg.Judge.Judge(ctx, &c, open, keep, tee)
	if err == nil {
		err = refusal(j.verdict)
	}
	if err != nil {
		p.dropKept(ctx, o.Tenant, c.Renditions)
		return judged{}, p.unjudged(ctx, &c, j.verdict, err)
	}
	j.verdict.At, j.sha256, j.renditions = p.ledger.Now(), c.SHA256, c.Renditions
	return j, nil
}

// unjudged says why an object has no clean verdict.
func (p *Pipeline) unjudged(ctx context.Context, c *registry.Claim, v registry.Verdict, err error) error {
	o := &c.Object
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("judge: %w", context.Cause(ctx))
	case v.Result != "":
		p.log.WarnContext(ctx, "inspection refused a write", "tenant", o.Tenant, "principal", o.Principal,
			"bucket", o.Bucket, "result", v.Result, "reason", v.Reason, "engines", v.Engines)
		return err
	}
	p.log.WarnContext(ctx, "a write could not be inspected", "tenant", o.Tenant, "bucket", o.Bucket, "err", err)
	if errors.Is(err, ErrScanDown) {
		return err
	}
	// The object may be to blame, or not. That nobody knows is nothing to publish.
	return fmt.Errorf("%w: %w", ErrScanDown, err)
}

// refusal is what a verdict means for a write that waits for its answer.
func refusal(v registry.Verdict) error {
	switch v.Result {
	case registry.VerdictClean:
		return nil
	case registry.VerdictInfected:
		return ErrInfected
	case registry.VerdictRefused:
		return fmt.Errorf("%w: %s", ErrRefused, v.Reason)
	}
	return fmt.Errorf("%w: %s", ErrScanIncomplete, v.Reason)
}

// dropKept gives up what was made of an object that is not written.
func (p *Pipeline) dropKept(ctx context.Context, tenant registry.TenantName, made []registry.Rendition) {
	for _, r := range made {
		p.giveUp(ctx, registry.Intent{Tenant: tenant, Key: r.Blob, Epoch: p.ledger.Epoch()})
	}
}
