package main

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
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
// SHA-256, a checksum of the whole, or the MD5 of its parts.
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

// readParts makes the ETag anew, the MD5 of the MD5s of the parts. A part that
// was copied out of the middle of another object has a made-up one, so that
// nothing can be said of an object with such.
func (f *fsck) readParts(ctx context.Context, o *registry.Object) (problem string, err error) {
	parts, err := f.node.ledger.ObjectParts(ctx, o.Tenant, o.ID)
	if err != nil || len(parts) == 0 { // a copy knows no parts
		return "", err
	}
	sums := partSums{parts: parts, sum: md5.New(), sums: md5.New()}
	if err := f.copyBytes(ctx, o, &sums); err != nil || sums.etag() == o.ETag {
		return "", err
	}
	for i, extent := range o.Extents {
		info, err := f.node.blobs.Stat(ctx, blob.Key(extent.Blob))
		if errors.Is(err, fs.ErrNotExist) && i < len(o.Targets) {
			info, err = f.node.blobs.Stat(ctx, blob.Key(o.Targets[i]))
		}
		if err != nil || extent.Length < info.Size {
			return "", err
		}
	}
	return changed, nil
}

// partSums takes the bytes of an object and makes the ETag of its parts.
type partSums struct {
	parts     []registry.ObjectPart
	sum, sums hash.Hash // of the part so far; of the parts' sums
	at        int       // the part
	have      int64     // bytes of it
}

func (p *partSums) Write(b []byte) (int, error) {
	n := len(b)
	for p.at < len(p.parts) {
		part := b[:min(int64(len(b)), p.parts[p.at].Size-p.have)]
		p.sum.Write(part)
		b, p.have = b[len(part):], p.have+int64(len(part))
		if p.have < p.parts[p.at].Size {
			return n, nil
		}
		p.sums.Write(p.sum.Sum(nil))
		p.sum.Reset()
		p.at, p.have = p.at+1, 0
	}
	return n, nil
}

func (p *partSums) etag() string {
	return fmt.Sprintf("%x-%d", p.sums.Sum(nil), len(p.parts))
}
