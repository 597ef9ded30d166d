package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// Source names what a copy is made of.
type Source struct {
	Bucket  registry.BucketName
	Key     string
	Version string // "" is the current one
	// The conditions on it, ETags without quotes or "*"; "" and nil ask for nothing.
	IfMatch, IfNoneMatch               string
	IfModifiedSince, IfUnmodifiedSince *time.Time
}

// ErrSource: what is wrong is wrong with a copy's source.
var ErrSource = errors.New("pipeline: source of the copy")

func ofSource(err error) error { return fmt.Errorf("%w: %w", ErrSource, err) }

// source returns what a copy is made of, if the actor may read it and the conditions
// hold. Every error but a refused right is ErrSource.
func (p *Pipeline) source(ctx context.Context, actor registry.Actor, s Source) (registry.Object, error) {
	if err := policy.Allow(actor, policy.S3Read, ""); err != nil {
		return registry.Object{}, err
	}
	o, err := p.version(ctx, actor.Tenant, s.Bucket, s.Key, s.Version)
	if err != nil {
		return registry.Object{}, ofSource(err)
	}
	if !s.holds(&o) {
		return registry.Object{}, ofSource(registry.ErrPrecondition)
	}
	if len(o.Targets) > 0 {
		// A blob can be shared only where it stays: finish its way there.
		if err := p.promote(ctx, o); err != nil {
			return registry.Object{}, err
		}
		return p.settledSource(ctx, o)
	}
	return o, nil
}

// settledSource reads a source again whose promotion has just been tried.
func (p *Pipeline) settledSource(ctx context.Context, o registry.Object) (registry.Object, error) {
	o, err := p.ledger.Object(ctx, o.Tenant, o.ID)
	switch {
	case err != nil:
		return registry.Object{}, ofSource(err)
	case o.State != registry.ObjectPublished:
		return registry.Object{}, ofSource(registry.ErrNotFound)
	case len(o.Targets) > 0: // somebody else is at it
		return registry.Object{}, ofSource(ErrUnavailable)
	}
	return o, nil
}

// holds tells whether the conditions hold. A condition on the ETag makes the one on
// the time that goes with it be ignored; see
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html.
func (s *Source) holds(o *registry.Object) bool {
	modified := o.ModifiedAt.Truncate(time.Second) // what clients are told
	matches := func(etag string) bool { return etag == "*" || etag == o.ETag }
	switch {
	case s.IfMatch != "" && !matches(s.IfMatch),
		s.IfMatch == "" && s.IfUnmodifiedSince != nil && modified.After(*s.IfUnmodifiedSince),
		s.IfNoneMatch != "" && matches(s.IfNoneMatch),
		s.IfNoneMatch == "" && s.IfModifiedSince != nil && !modified.After(*s.IfModifiedSince):
		return false
	}
	return true
}

// versionOf is what S3 tells of the version that was copied, "" where versioning
// never was on.
func (p *Pipeline) versionOf(ctx context.Context, o *registry.Object) (string, error) {
	if o.Versioned {
		return o.VersionID(), nil
	}
	b, err := p.bucketIfAny(ctx, o.Tenant, o.Bucket)
	if err != nil || b.Versioning == registry.VersioningOff {
		return "", err
	}
	return registry.NullVersion, nil
}

// bucketIfAny is the zero value for a bucket that does not exist.
func (p *Pipeline) bucketIfAny(ctx context.Context, tenant registry.TenantName, name registry.BucketName) (registry.Bucket, error) {
	if name == "" {
		return registry.Bucket{}, nil
	}
	b, err := p.ledger.Bucket(ctx, tenant, name)
	if errors.Is(err, registry.ErrNotFound) {
		return registry.Bucket{}, nil
	}
	return b, err
}
