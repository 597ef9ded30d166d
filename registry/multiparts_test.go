package registry_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/registry"
)

// mib is the size of most parts here: their bytes are nobody's business.
const mib = 1 << 20

// upload is a multipart upload of one key, and the parts a client knows of.
type upload struct {
	*house
	registry.Multipart
	listed []registry.ListedPart
}

func (h *house) multipart(bucket registry.BucketName, key string) *upload {
	h.Helper()
	return h.multipartOf(registry.NewMultipart{Bucket: bucket, Key: key})
}

func (h *house) multipartOf(n registry.NewMultipart) *upload {
	h.Helper()
	m, err := h.CreateMultipart(h.ctx(), h.amy, n)
	h.must(err)
	return &upload{house: h, Multipart: m}
}

// partOf is what is stored of a part whose content is named: its digests are those of
// the name, its size is said.
func partOf(content string, size int64) registry.Stored {
	sum := md5.Sum([]byte(content))
	crc := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(content)))
	return registry.Stored{
		Size: size, SHA256: digest(content), MD5: hex.EncodeToString(sum[:]),
		Checksums: map[string]string{"crc32": base64.StdEncoding.EncodeToString(crc)},
	}
}

// part stores a part and lists it, in the place of an earlier one of its number.
func (u *upload) part(number int, content string, size int64) registry.Part {
	u.Helper()
	p, err := u.tryPart(u.newPart(number, content, size))
	u.must(err)
	u.list(p)
	return p
}

func (u *upload) list(p registry.Part) {
	u.listed = slices.DeleteFunc(u.listed, func(l registry.ListedPart) bool { return l.Number == p.Number })
	u.listed = append(u.listed, registry.ListedPart{Number: p.Number, ETag: p.ETag})
	slices.SortFunc(u.listed, func(a, b registry.ListedPart) int { return a.Number - b.Number })
}

func (u *upload) newPart(number int, content string, size int64) registry.NewPart {
	u.Helper()
	i, err := u.ReserveBlob(u.ctx(), u.Tenant)
	u.must(err)
	return registry.NewPart{
		Multipart: u.ID, Bucket: u.Bucket, Key: u.Key, Number: number, Intent: &i, Stored: partOf(content, size),
	}
}

func (u *upload) tryPart(n registry.NewPart) (registry.Part, error) {
	u.Helper()
	p, err := u.PutPart(u.ctx(), u.amy, n)
	if err != nil && n.Intent != nil {
		u.must(u.ReleaseBlob(u.ctx(), *n.Intent))
	}
	return p, err
}

// copied stores a part made of another object's bytes and lists it.
func (u *upload) copied(number int, from registry.Object, offset, length int64) registry.Part {
	u.Helper()
	p, err := u.tryPart(u.newCopy(number, from, offset, length))
	u.must(err)
	u.list(p)
	return p
}

func (u *upload) newCopy(number int, from registry.Object, offset, length int64) registry.NewPart {
	return registry.NewPart{
		Multipart: u.ID, Bucket: u.Bucket, Key: u.Key, Number: number, Stored: partOf(fmt.Sprint(from.ID, offset, length), length),
		Source: registry.Run{Object: from.ID, Offset: offset, Length: length},
	}
}

func (u *upload) completion() registry.Completion {
	c := registry.Completion{Multipart: u.ID, Bucket: u.Bucket, Key: u.Key, Parts: u.listed, Size: -1}
	if u.Bucket == direct {
		c.Verdict = clean
	}
	return c
}

func (u *upload) complete() registry.Object {
	u.Helper()
	o, err := u.CompleteMultipart(u.ctx(), u.amy, u.completion())
	u.must(err)
	return o
}

// countEvents counts the audit events of a type.
func (h *house) countEvents(what registry.EventType) (n int) {
	h.Helper()
	for from := uint64(0); ; {
		leaves, err := h.Events(h.ctx(), "", from, 1000)
		h.must(err)
		for _, l := range leaves {
			ev, err := l.Event()
			h.must(err)
			if ev.Type == what {
				n++
			}
			from = l.Seq + 1
		}
		if len(leaves) == 0 {
			return n
		}
	}
}

func TestMultipart(t *testing.T) {
	h := newHouse(t)
	u := h.multipartOf(registry.NewMultipart{Bucket: direct, Key: "big", ChecksumAlgorithm: "crc32", ChecksumType: registry.FullObject,
		Kept: registry.Kept{ContentType: "video/mp4", Metadata: map[string]string{"a": "b"}, Tags: map[string]string{"k": "v"}}})
	// Out of order, with gaps, one replaced and one that will not be listed.
	u.part(7, "seven", 3)
	first := u.part(2, "two", 6*mib)
	dropped := u.part(9, "nine", 6*mib)
	replaced := u.part(5, "five, once", 8*mib)
	u.part(5, "five", 8*mib)
	u.listed = slices.DeleteFunc(u.listed, func(l registry.ListedPart) bool { return l.Number == 9 })

	c := u.completion()
	preview, err := h.Assembled(h.ctx(), acme, c)
	h.must(err)
	if n := h.countEvents(registry.EventObjectPut); n != 0 || preview.State != "" {
		t.Errorf("a preview of %s left %d events", preview.State, n)
	}
	o := u.complete()
	if o.State != registry.ObjectPublished || o.ID != u.Object() || o.Size != 14*mib+3 || o.PartCount != 3 || len(o.Extents) != 3 {
		t.Errorf("the object is %s, %s, %d bytes of %d parts, %d extents", o.ID, o.State, o.Size, o.PartCount, len(o.Extents))
	}
	if o.ContentType != "video/mp4" || o.Metadata["a"] != "b" || o.Tags["k"] != "v" || o.Extents[0] != first.Extents[0] {
		t.Errorf("the object is %+v", o)
	}
	if preview.ETag != o.ETag || preview.Checksums["crc32"] != o.Checksums["crc32"] || len(preview.Extents) != 3 {
		t.Error("the preview was another object's")
	}
	h.checkETag(o, "two", "five", "seven")
	if g := h.garbage(); len(g) != 2 || !g[dropped.Extents[0].Blob] || !g[replaced.Extents[0].Blob] {
		t.Errorf("%d blobs are garbage, want what was replaced and what was not listed", len(g))
	}
	named, err := h.Named(h.ctx(), acme, direct, "big")
	h.must(err)
	if named.ID != o.ID || named.ETag != o.ETag || !slices.Equal(named.Extents, o.Extents) {
		t.Errorf("what is read is %+v", named)
	}
	parts, err := h.ObjectParts(h.ctx(), acme, o.ID)
	h.must(err)
	if len(parts) != 3 || parts[1].Number != 5 || parts[1].Size != 8*mib || parts[1].Checksums["crc32"] != partOf("five", 0).Checksums["crc32"] {
		t.Errorf("its parts are %+v", parts)
	}
	for what, want := range map[registry.EventType]int{registry.EventMultipartCreated: 1, registry.EventObjectPut: 1, registry.EventMultipartAborted: 0} {
		if n := h.countEvents(what); n != want {
			t.Errorf("%d events %s, want %d", n, what, want)
		}
	}
}

// checkETag compares an ETag with that of parts of these contents.
func (h *house) checkETag(o registry.Object, contents ...string) {
	h.Helper()
	var sums []byte
	for _, c := range contents {
		sum := md5.Sum([]byte(c))
		sums = append(sums, sum[:]...)
	}
	if want := fmt.Sprintf("%x-%d", md5.Sum(sums), len(contents)); o.ETag != want {
		h.Errorf("the ETag is %s, want %s", o.ETag, want)
	}
}

func TestMultipartInQuarantine(t *testing.T) {
	h := newHouse(t)
	u := h.multipart(files, "k")
	u.part(1, "one", 6*mib)
	u.part(2, "two", 1)
	o := u.complete()
	_, err := h.Named(h.ctx(), acme, files, "k")
	h.want(err, registry.ErrNotFound)
	o = h.settle(o, clean)
	if o.State != registry.ObjectPublished {
		t.Errorf("the object is %s: its blobs are where they belong", o.State)
	}
	h.must(h.deleteKey(files, "k"))
	if g := h.garbage(); len(g) != 2 {
		t.Errorf("%d blobs are garbage after the delete", len(g))
	}
	parts, err := h.ObjectParts(h.ctx(), acme, o.ID)
	if err != nil || parts != nil {
		t.Errorf("a deleted object has parts %v (%v)", parts, err)
	}
}

func TestCompletionRefused(t *testing.T) {
	h := newHouse(t)
	u := h.multipartOf(registry.NewMultipart{Bucket: direct, Key: "k", ChecksumAlgorithm: "crc32"})
	u.part(1, "one", 6*mib)
	u.part(2, "two", 1)
	u.part(3, "three", 1)
	h.put(direct, "other", "x")
	for name, c := range map[string]struct {
		spoil func(*registry.Completion)
		err   error
	}{
		"Nothing":       {func(c *registry.Completion) { c.Parts = nil }, registry.ErrInvalid},
		"UnknownBucket": {func(c *registry.Completion) { c.Bucket = "nobody" }, registry.ErrNotFound},
		"OtherBucket":   {func(c *registry.Completion) { c.Bucket = files }, registry.ErrNoUpload},
		"OtherKey":      {func(c *registry.Completion) { c.Key = "other" }, registry.ErrNoUpload},
		"Unknown":       {func(c *registry.Completion) { c.Multipart = "mpu_nobody" }, registry.ErrNoUpload},
		"NoID":          {func(c *registry.Completion) { c.Multipart = "" }, registry.ErrNoUpload},
		"Order":         {func(c *registry.Completion) { c.Parts[0], c.Parts[1] = c.Parts[1], c.Parts[0] }, registry.ErrPartOrder},
		"Twice":         {func(c *registry.Completion) { c.Parts[1] = c.Parts[0] }, registry.ErrPartOrder},
		"Missing":       {func(c *registry.Completion) { c.Parts[2].Number = 4 }, registry.ErrPart},
		"Zero":          {func(c *registry.Completion) { c.Parts[0].Number = 0 }, registry.ErrPart},
		"Gap":           {func(c *registry.Completion) { c.Parts[0].Number, c.Parts[1].Number = -1, 0 }, registry.ErrPart},
		"OtherETag":     {func(c *registry.Completion) { c.Parts[0].ETag = c.Parts[1].ETag }, registry.ErrPart},
		"NoETag":        {func(c *registry.Completion) { c.Parts[0].ETag = "" }, registry.ErrPart},
		"OtherChecksum": {func(c *registry.Completion) { c.Parts[0].Checksums = map[string]string{"crc32": "AAAAAA=="} }, registry.ErrPart},
		"Small":         {func(c *registry.Completion) {}, registry.ErrPartTooSmall},
		"Size":          {func(c *registry.Completion) { c.Parts, c.Size = c.Parts[:2], 6*mib }, registry.ErrInvalid},
		"Checksum": {func(c *registry.Completion) {
			c.Parts, c.Checksums = c.Parts[:2], map[string]string{"crc32": "AAAAAA==-2"}
		}, registry.ErrChecksumMismatch},
		"ChecksumType": {func(c *registry.Completion) { c.Parts, c.ChecksumType = c.Parts[:2], registry.FullObject }, registry.ErrInvalid},
		"OtherSum":     {func(c *registry.Completion) { c.Parts, c.Checksums = c.Parts[:2], map[string]string{"sha1": "x"} }, registry.ErrInvalid},
		"MatchNothing": {func(c *registry.Completion) { c.Parts, c.Conditions.IfMatch = c.Parts[:2], "*" }, registry.ErrNotFound},
	} {
		completion := u.completion()
		completion.Parts = slices.Clone(u.listed)
		c.spoil(&completion)
		if _, err := h.CompleteMultipart(h.ctx(), h.amy, completion); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
		if _, err := h.Assembled(h.ctx(), acme, completion); !errors.Is(err, c.err) {
			t.Errorf("%s, to look at: %v, want %v", name, err, c.err)
		}
	}
	// None of them changed anything.
	if parts, _, err := h.Parts(h.ctx(), acme, u.ID, 0, 10); err != nil || len(parts) != 3 {
		t.Errorf("%d parts are left (%v)", len(parts), err)
	}
	c := u.completion()
	c.Parts = c.Parts[:2]
	c.Parts[0].ETag = strings.ToUpper(c.Parts[0].ETag)
	_, err := h.CompleteMultipart(h.ctx(), h.amy, c)
	h.must(err)
}

func TestCompletionChecksums(t *testing.T) {
	h := newHouse(t)
	u := h.multipartOf(registry.NewMultipart{Bucket: direct, Key: "k", ChecksumAlgorithm: "crc32"})
	u.part(1, "one", 6*mib)
	u.part(2, "two", 1)
	c := u.completion()
	preview, err := h.Assembled(h.ctx(), acme, c)
	h.must(err)
	whole := preview.Checksums["crc32"]
	if preview.ChecksumType != registry.Composite || !strings.HasSuffix(whole, "-2") {
		t.Errorf("the checksum is %q, %s", whole, preview.ChecksumType)
	}
	c.Size, c.ChecksumType = 6*mib+1, registry.Composite
	for _, told := range []string{whole, strings.TrimSuffix(whole, "-2")} { // clients say it either way
		c.Checksums = map[string]string{"crc32": told}
		if _, err := h.Assembled(h.ctx(), acme, c); err != nil {
			t.Errorf("%q: %v", told, err)
		}
	}
	o, err := h.CompleteMultipart(h.ctx(), h.amy, c)
	h.must(err)
	if o.Checksums["crc32"] != whole {
		t.Errorf("the object has %q", o.Checksums["crc32"])
	}
}

func TestRepeatedCompletion(t *testing.T) {
	h := newHouse(t)
	u := h.multipart(direct, "k")
	u.part(1, "one", 6*mib)
	u.part(2, "two", 1)
	c := u.completion()
	c.Conditions.IfNoneMatch = "*" // held the first time
	o, err := h.CompleteMultipart(h.ctx(), h.amy, c)
	h.must(err)
	again := func(what string) {
		t.Helper()
		for range 2 {
			r, err := h.CompleteMultipart(h.ctx(), h.amy, c)
			if err != nil || r.ID != o.ID || r.ETag != o.ETag || r.Size != o.Size {
				t.Errorf("%s: it is %s %s (%v)", what, r.ID, r.ETag, err)
			}
		}
		if r, err := h.Assembled(h.ctx(), acme, c); err != nil || r.ID != o.ID || r.State == "" {
			t.Errorf("%s: assembled it is %s %q (%v)", what, r.ID, r.State, err)
		}
	}
	again("at once")
	h.reopen()
	again("after a restart")
	h.put(direct, "k", "overwritten")
	again("overwritten")
	if n := h.countEvents(registry.EventObjectPut); n != 2 {
		t.Errorf("%d objects were put", n)
	}
	other := c
	other.Parts = c.Parts[:1]
	_, err = h.CompleteMultipart(h.ctx(), h.amy, other)
	h.want(err, registry.ErrNoUpload)
	h.want(h.AbortMultipart(h.ctx(), h.amy, direct, "k", u.ID), registry.ErrNoUpload)
	_, err = u.tryPart(u.newPart(3, "three", 1))
	h.want(err, registry.ErrNoUpload)
	_, _, err = h.Parts(h.ctx(), acme, u.ID, 0, 10)
	h.want(err, registry.ErrNoUpload)

	h.time.pass(day - time.Minute)
	h.forgetAll(10)
	again("within a day")
	h.time.pass(time.Minute)
	if n := h.forgetAll(10); n != 1 {
		t.Errorf("%d rows were forgotten", n)
	}
	_, err = h.CompleteMultipart(h.ctx(), h.amy, c)
	h.want(err, registry.ErrNoUpload)
	_, err = h.Multipart(h.ctx(), acme, direct, "k", u.ID)
	h.want(err, registry.ErrNoUpload)
}

// TestOneCompletionWins: conditions hold in the commit, not before it.
func TestOneCompletionWins(t *testing.T) {
	h := newHouse(t)
	const clients = 8
	results := make(chan error, clients)
	var wait sync.WaitGroup
	for i := range clients {
		u := h.multipart(direct, "k")
		u.part(1, fmt.Sprint(i), 5)
		c := u.completion()
		c.Conditions.IfNoneMatch = "*"
		wait.Go(func() {
			_, err := h.CompleteMultipart(h.ctx(), h.amy, c)
			results <- err
		})
	}
	wait.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
			continue
		}
		h.want(err, registry.ErrPrecondition)
	}
	if won != 1 {
		t.Errorf("%d of %d won", won, clients)
	}
	now, err := h.Named(h.ctx(), acme, direct, "k")
	h.must(err)
	u := h.multipart(direct, "k")
	u.part(1, "next", 5)
	c := u.completion()
	c.Conditions.IfMatch = "another"
	_, err = h.CompleteMultipart(h.ctx(), h.amy, c)
	h.want(err, registry.ErrPrecondition)
	c.Conditions.IfMatch = now.ETag
	_, err = h.CompleteMultipart(h.ctx(), h.amy, c)
	h.must(err)
}

func TestAbortMultipart(t *testing.T) {
	h := newHouse(t)
	source := h.put(direct, "source", "hello")
	u := h.multipart(direct, "k")
	own := u.part(1, "one", 6*mib)
	u.copied(2, source, 1, 3)
	late := u.newPart(3, "three", 1)
	h.want(h.AbortMultipart(h.ctx(), h.amy, direct, "other", u.ID), registry.ErrNoUpload)
	h.want(h.AbortMultipart(h.ctx(), h.amy, "nobody", "k", u.ID), registry.ErrNotFound)
	h.must(h.AbortMultipart(h.ctx(), h.amy, direct, "k", u.ID))
	h.want(h.AbortMultipart(h.ctx(), h.amy, direct, "k", u.ID), registry.ErrNoUpload)
	if g := h.garbage(); len(g) != 1 || !g[own.Extents[0].Blob] {
		t.Errorf("%d blobs are garbage, want the part's own", len(g))
	}
	_, err := u.tryPart(late)
	h.want(err, registry.ErrNoUpload)
	_, err = h.CompleteMultipart(h.ctx(), h.amy, u.completion())
	h.want(err, registry.ErrNoUpload)
	if g := h.garbage(); len(g) != 2 || !g[late.Intent.Key] {
		t.Errorf("%d blobs are garbage, want the late part's, too", len(g))
	}
	h.must(h.deleteKey(direct, "source"))
	if g := h.garbage(); len(g) != 3 || !g[source.Extents[0].Blob] {
		t.Errorf("%d blobs are garbage, want the source's, too", len(g))
	}
	if n := h.countEvents(registry.EventMultipartAborted); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestCopiedParts(t *testing.T) {
	h := newHouse(t)
	made := h.multipart(direct, "made")
	a := made.part(1, "a", 6*mib).Extents[0].Blob
	b := made.part(2, "b", 6*mib).Extents[0].Blob
	source := made.complete()

	u := h.multipart(direct, "k")
	across := u.copied(1, source, 4*mib, 5*mib)
	want := []registry.Extent{{Blob: a, Offset: 4 * mib, Length: 2 * mib}, {Blob: b, Offset: 0, Length: 3 * mib}}
	if !slices.Equal(across.Extents, want) {
		t.Errorf("the run is %+v", across.Extents)
	}
	if end := u.copied(2, source, 12*mib, 0); len(end.Extents) != 1 || end.Extents[0].Length != 0 {
		t.Errorf("an empty run is %+v", end.Extents)
	}
	u.copied(2, source, 6*mib, 6*mib) // replaces it by one of the same blob
	for name, c := range map[string]struct {
		part registry.NewPart
		err  error
	}{
		"Behind":   {u.newCopy(3, source, 12*mib+1, 0), registry.ErrInvalid},
		"TooLong":  {u.newCopy(3, source, 12*mib, 1), registry.ErrInvalid},
		"Negative": {u.newCopy(3, source, -1, 1), registry.ErrInvalid},
		"Overflow": {u.newCopy(3, source, 1, 1<<63-1), registry.ErrInvalid},
		"Unknown":  {u.newCopy(3, registry.Object{ID: "obj_nobody"}, 0, 0), registry.ErrNotFound},
		"Hidden":   {u.newCopy(3, h.put(files, "waits", "hello"), 0, 5), registry.ErrNotFound},
	} {
		if _, err := u.tryPart(c.part); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	h.must(h.deleteKey(direct, "made"))
	if g := h.garbage(); len(g) != 0 {
		t.Errorf("%d blobs are garbage while parts share them", len(g))
	}
	for _, blob := range []registry.BlobKey{a, b} {
		if s, err := h.Standing(h.ctx(), blob); err != nil || s != registry.BlobReferred {
			t.Errorf("a part's blob stands as %d (%v)", s, err)
		}
	}
	referred := make(map[registry.BlobKey]bool)
	for blob, err := range h.BlobRefs(h.ctx()) {
		h.must(err)
		referred[blob] = true
	}
	if !referred[a] || !referred[b] {
		t.Error("the blobs of parts are not among those that rows refer to")
	}
	o := u.complete()
	if o.Size != 11*mib || len(o.Extents) != 3 {
		t.Errorf("the object has %d bytes in %d extents", o.Size, len(o.Extents))
	}
	h.must(h.deleteKey(direct, "k"))
	if g := h.garbage(); len(g) != 2 || !g[a] || !g[b] {
		t.Errorf("%d blobs are garbage in the end", len(g))
	}
}

func TestPartRefused(t *testing.T) {
	h := newHouse(t)
	u := h.multipartOf(registry.NewMultipart{Bucket: direct, Key: "k", ChecksumAlgorithm: "crc32c"})
	crc32c := func(n *registry.NewPart) { n.Stored.Checksums = map[string]string{"crc32c": "AAAAAA=="} }
	for name, c := range map[string]struct {
		spoil func(*registry.NewPart)
		err   error
	}{
		"Zero":         {func(n *registry.NewPart) { n.Number = 0 }, registry.ErrInvalid},
		"TooMany":      {func(n *registry.NewPart) { n.Number = registry.MaxParts + 1 }, registry.ErrInvalid},
		"NegativeSize": {func(n *registry.NewPart) { n.Stored.Size = -1 }, registry.ErrInvalid},
		"NoMD5":        {func(n *registry.NewPart) { n.Stored.MD5 = "" }, registry.ErrInvalid},
		"NoChecksum":   {func(n *registry.NewPart) { n.Stored.Checksums = nil }, registry.ErrInvalid},
		"ShortSum":     {func(n *registry.NewPart) { n.Stored.Checksums["crc32c"] = "AAAA" }, registry.ErrInvalid},
		"OtherKey":     {func(n *registry.NewPart) { n.Key = "other" }, registry.ErrNoUpload},
		"OtherBucket":  {func(n *registry.NewPart) { n.Bucket = files }, registry.ErrNoUpload},
		"NoBucket":     {func(n *registry.NewPart) { n.Bucket = "nobody" }, registry.ErrNotFound},
		"Unknown":      {func(n *registry.NewPart) { n.Multipart = "mpu_nobody" }, registry.ErrNoUpload},
		"Foreign":      {func(n *registry.NewPart) { n.Intent.Tenant = "evil" }, registry.ErrFenced},
		"Released":     {func(n *registry.NewPart) { h.must(h.ReleaseBlob(h.ctx(), *n.Intent)) }, registry.ErrFenced},
		"ShortHash":    {func(n *registry.NewPart) { n.OneUse = registry.OneUse{Hash: "short", Expires: h.Now()} }, registry.ErrInvalid},
	} {
		n := u.newPart(1, "one", 5)
		crc32c(&n)
		c.spoil(&n)
		if _, err := u.tryPart(n); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	n := u.newPart(1, "one", 5)
	crc32c(&n)
	_, err := u.tryPart(n)
	h.must(err)
	_, err = u.tryPart(n) // the same intent again: the bytes are the part's by now
	h.want(err, registry.ErrFenced)
	if s, err := h.Standing(h.ctx(), n.Intent.Key); err != nil || s != registry.BlobReferred {
		t.Errorf("the part's blob stands as %d (%v)", s, err)
	}
	eve := h.tenant("evil")
	_, err = h.PutPart(h.ctx(), eve, n)
	h.want(err, registry.ErrNotFound)
	h.must(h.RevokePrincipal(h.ctx(), registry.System(acme), acme, h.amy.Principal))
	n = u.newPart(2, "two", 5)
	crc32c(&n)
	_, err = u.tryPart(n)
	h.want(err, registry.ErrRevoked)
}

func TestCreateMultipartRefused(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		n   registry.NewMultipart
		err error
	}{
		"NoBucket":   {registry.NewMultipart{Bucket: "nobody", Key: "k"}, registry.ErrNotFound},
		"NoKey":      {registry.NewMultipart{Bucket: direct}, registry.ErrInvalid},
		"LongKey":    {registry.NewMultipart{Bucket: direct, Key: strings.Repeat("k", 1025)}, registry.ErrInvalid},
		"Checksum":   {registry.NewMultipart{Bucket: direct, Key: "k", ChecksumAlgorithm: "md5"}, registry.ErrInvalid},
		"WrongType":  {registry.NewMultipart{Bucket: direct, Key: "k", ChecksumAlgorithm: "sha1", ChecksumType: registry.FullObject}, registry.ErrInvalid},
		"Tags":       {registry.NewMultipart{Bucket: direct, Key: "k", Kept: registry.Kept{Tags: map[string]string{"aws:x": ""}}}, registry.ErrInvalid},
		"NoLock":     {registry.NewMultipart{Bucket: direct, Key: "k", Kept: registry.Kept{LegalHold: true}}, registry.ErrConflict},
		"PastRetain": {registry.NewMultipart{Bucket: direct, Key: "k", Kept: registry.Kept{Retention: &registry.Retention{Mode: registry.LockGovernance, Until: h.Now()}}}, registry.ErrInvalid},
	} {
		if _, err := h.CreateMultipart(h.ctx(), h.amy, c.n); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	if n := h.countEvents(registry.EventMultipartCreated); n != 0 {
		t.Errorf("%d events of uploads that were refused", n)
	}
}

func TestPartsPages(t *testing.T) {
	h := newHouse(t)
	u := h.multipart(direct, "k")
	for _, n := range []int{1, 3, 4, 10_000} {
		u.part(n, fmt.Sprint(n), 1)
	}
	for _, c := range []struct {
		after, limit int
		want         string
		more         bool
	}{
		{0, 1000, "[1 3 4 10000]", false}, {0, 4, "[1 3 4 10000]", false}, {0, 3, "[1 3 4]", true},
		{1, 1, "[3]", true}, {2, 1, "[3]", true}, {10_000, 1, "[]", false}, {0, 0, "[]", true}, {10_000, 0, "[]", false},
	} {
		parts, more, err := h.Parts(h.ctx(), acme, u.ID, c.after, c.limit)
		h.must(err)
		numbers := []int{}
		for _, p := range parts {
			numbers = append(numbers, p.Number)
		}
		if got := fmt.Sprint(numbers); got != c.want || more != c.more {
			t.Errorf("%d behind %d are %s (%v), want %s (%v)", c.limit, c.after, got, more, c.want, c.more)
		}
	}
	_, _, err := h.Parts(h.ctx(), acme, u.ID, 0, 1001)
	h.want(err, registry.ErrInvalid)
	_, _, err = h.Parts(h.ctx(), "evil", u.ID, 0, 1)
	h.want(err, registry.ErrNoUpload)
}
