package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"maps"
	"slices"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/pipeline"
)

// changed is the problem of an object whose digest is another now.
const changed = "its bytes are not those that were stored"

// read compares an object's bytes with the best that is known of them: their
// SHA-256, a checksum of the whole, or checksums of its parts.
func (f *fsck) read(ctx context.Context, o *registry.Object) (problem string, err error) {
	if o.SHA256 != "" {
		return f.digest(ctx, o, sha256.New(), func(sum []byte) bool { return hex.EncodeToString(sum) == o.SHA256 })
	}
	if o.ChecksumType != registry.Composite {
		for _, algorithm := range slices.Sorted(maps.Keys(o.Checksums)) {
			return f.digest(ctx, o, pipeline.Checksum(algorithm), func(sum []byte) bool {
				return base64.StdEncoding.EncodeToString(sum) == o.Checksums[algorithm]
			})
		}
	}
	return f.readParts(ctx, o)
}

// digest reads an object into a digest and judges what comes out.
func (f *fsck) digest(ctx context.Context, o *registry.Object, sum hash.Hash, right func(sum []byte) bool) (problem string, err error) {
	if err := f.copyBytes(ctx, o, sum); err != nil || right(sum.Sum(nil)) {
		return "", err
	}
	return changed, nil
}

// copyBytes reads an object's bytes into a writer.
func (f *fsck) copyBytes(ctx context.Context, o *registry.Object, to io.Writer) error {
	for i, extent := range o.Extents {
		r, err := f.node.blobs.Open(ctx, blob.Key(extent.Blob), extent.Offset, extent.Length)
		if errors.Is(err, fs.ErrNotExist) && i < len(o.Targets) {
			r, err = f.node.blobs.Open(ctx, blob.Key(o.Targets[i]), extent.Offset, extent.Length)
		}
		if err != nil {
			return err
		}
		_, err = io.Copy(to, r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return nil
}

// readParts compares the parts that have a checksum of their own. The others have
// only their ETags, and those of ranges that were copied are no digests.
func (f *fsck) readParts(ctx context.Context, o *registry.Object) (problem string, err error) {
	parts, err := f.node.ledger.ObjectParts(ctx, o.Tenant, o.ID)
	if err != nil || !slices.ContainsFunc(parts, func(p registry.ObjectPart) bool { return len(p.Checksums) > 0 }) {
		return "", err
	}
	check := partCheck{parts: parts}
	if err := f.copyBytes(ctx, o, &check); err != nil || !check.differs {
		return "", err
	}
	return changed, nil
}

// partCheck takes the bytes of an object and compares its parts.
type partCheck struct {
	parts   []registry.ObjectPart // those to come, and the one that comes
	have    int64                 // bytes of it
	sums    map[string]hash.Hash  // of it, by algorithm
	differs bool
}

func (c *partCheck) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 && len(c.parts) > 0 {
		if c.sums == nil {
			c.sums = map[string]hash.Hash{}
			for algorithm := range c.parts[0].Checksums {
				c.sums[algorithm] = pipeline.Checksum(algorithm)
			}
		}
		piece := b[:min(int64(len(b)), c.parts[0].Size-c.have)]
		for _, sum := range c.sums {
			sum.Write(piece) // never fails
		}
		b, c.have = b[len(piece):], c.have+int64(len(piece))
		if c.have == c.parts[0].Size {
			for algorithm, want := range c.parts[0].Checksums {
				c.differs = c.differs || base64.StdEncoding.EncodeToString(c.sums[algorithm].Sum(nil)) != want
			}
			c.parts, c.have, c.sums = c.parts[1:], 0, nil
		}
	}
	return n, nil
}
