package pipeline

import (
	"context"
	"errors"
	"fmt"

	"sallyport/registry"
	"sallyport/registry/policy"
)

// FindVersion finds one version of a key, for a signature made with the actor's own
// key; "" is the current one. A delete marker is a *registry.MarkerError. If a key has
// nothing published but something that waits for its inspection or was rejected, the
// error is a *WaitingError.
func (p *Pipeline) FindVersion(ctx context.Context, actor registry.Actor, bucket registry.BucketName, key, version string) (*Found, error) {
	if err := policy.Allow(actor, policy.S3Read, ""); err != nil {
		return nil, p.refuse("get", fmt.Errorf("find: %w", err))
	}
	f, err := p.findVersion(ctx, actor, bucket, key, version)
	return f, p.refuse("get", err)
}

func (p *Pipeline) findVersion(ctx context.Context, actor registry.Actor, bucket registry.BucketName, key, version string) (*Found, error) {
	seen := p.transfers.look()
	o, err := p.version(ctx, actor.Tenant, bucket, key, version)
	if err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	return p.found(seen, o, actor, func(ctx context.Context) (*Found, error) {
		return p.findVersion(ctx, actor, bucket, key, version)
	})
}

// version returns a published version. The current one is one look at the ledger;
// why there is none is worth two more.
func (p *Pipeline) version(ctx context.Context, tenant registry.TenantName, bucket registry.BucketName, key, version string) (registry.Object, error) {
	if version != "" {
		return p.ledger.Version(ctx, tenant, bucket, key, version)
	}
	o, err := p.ledger.Named(ctx, tenant, bucket, key)
	if !errors.Is(err, registry.ErrNotFound) {
		return o, err
	}
	var marker *registry.MarkerError
	if _, why := p.ledger.Version(ctx, tenant, bucket, key, ""); errors.As(why, &marker) {
		return registry.Object{}, why
	}
	switch waits, unknown := p.ledger.Waiting(ctx, tenant, bucket, key); {
	case unknown == nil:
		return registry.Object{}, &WaitingError{State: waits.State}
	case !errors.Is(unknown, registry.ErrNotFound):
		return registry.Object{}, unknown
	}
	return registry.Object{}, err
}

// WaitingError is registry.ErrNotFound for a key whose latest write is not published.
type WaitingError struct {
	State registry.ObjectState
}

func (e *WaitingError) Error() string { return "the latest write is " + string(e.State) }

// Unwrap makes it registry.ErrNotFound.
func (e *WaitingError) Unwrap() error { return registry.ErrNotFound }

// ErrPartNumber: the object has no part of that number, or it cannot have one.
var ErrPartNumber = errors.New("pipeline: no such part")

// PartSpan returns where a part of the object lies in it, by its number from 1, and how
// many parts there are. ErrPartNumber if there is no such part; an object of a single PUT has one part.
func (f *Found) PartSpan(ctx context.Context, number int) (off, n int64, parts int, err error) {
	list, err := f.Parts(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	if len(list) == 0 {
		list = []registry.ObjectPart{{Number: 1, Size: f.Object.Size}}
	}
	for i, part := range list {
		// By place and not by the number that the upload gave it: parts may have
		// been left out, and S3 counts those of the object.
		if i+1 == number {
			return off, part.Size, len(list), nil
		}
		off += part.Size
	}
	return 0, 0, len(list), ErrPartNumber
}

// Parts returns the parts that the object was uploaded in; none for a single PUT.
func (f *Found) Parts(ctx context.Context) ([]registry.ObjectPart, error) {
	if f.Object.PartCount == 0 {
		return nil, nil
	}
	parts, err := f.p.ledger.ObjectParts(ctx, f.Object.Tenant, f.Object.ID)
	if err != nil {
		return nil, fmt.Errorf("parts: %w", err)
	}
	return parts, nil
}

// ListVersions lists a bucket's versions by key.
func (p *Pipeline) ListVersions(ctx context.Context, actor registry.Actor, bucket registry.BucketName, q registry.VersionsQuery) (registry.VersionListing, error) {
	if err := policy.Allow(actor, policy.S3List, ""); err != nil {
		return registry.VersionListing{}, p.refuse("list", fmt.Errorf("list versions: %w", err))
	}
	return p.ledger.ListVersions(ctx, actor.Tenant, bucket, q)
}

// DeleteVersions deletes what is under each key of a bucket, or the version that is
// named, as S3 does: what is not there counts as deleted. The results stand in the
// order of the list. Bypassing governance needs policy.S3BypassLock.
func (p *Pipeline) DeleteVersions(ctx context.Context, actor registry.Actor, bucket registry.BucketName, list []registry.Deletion) ([]registry.DeletionResult, error) {
	err := policy.Allow(actor, policy.S3Delete, "")
	for i := range list {
		if err == nil && list[i].Bypass {
			err = policy.Allow(actor, policy.S3BypassLock, "")
		}
	}
	if err != nil {
		return nil, p.refuse("delete", fmt.Errorf("delete versions: %w", err))
	}
	results, err := p.ledger.DeleteVersions(ctx, actor, bucket, list)
	if err != nil {
		return nil, p.refuse("delete", err)
	}
	keys := make(map[string]struct{}, len(list))
	for i, r := range results {
		if r.Err == nil {
			keys[list[i].Key] = struct{}{}
		} else {
			_ = p.refuse("delete", r.Err)
		}
	}
	p.cutGone(ctx, func(s subject) bool {
		_, gone := keys[s.key]
		return gone && s.tenant == actor.Tenant && s.bucket == bucket
	})
	p.sweepSoon()
	return results, nil
}
