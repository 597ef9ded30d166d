package registry_test

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/registry"
)

// partsOf is a session of ten bytes in parts of four, four and two.
var partsOf = registry.NewUpload{
	Bucket: files, Filename: "a.txt", ContentType: "text/plain", Size: 10, PartSize: 4,
	SessionTTL: 2 * time.Hour, URLTTL: 2 * time.Minute,
}

var partContent = []string{"", "aaaa", "bbbb", "cc"}

func (h *house) beginParts() registry.Upload {
	h.Helper()
	b, err := h.CreateUpload(h.ctx(), h.amy, partsOf)
	h.must(err)
	return b.Upload
}

func (h *house) partURL(u registry.Upload, number int) registry.Grant {
	h.Helper()
	g, _, err := h.IssuePartURL(h.ctx(), h.amy, u.ID, number, 15*time.Minute)
	h.must(err)
	return g
}

func (h *house) takePart(u registry.Upload, g registry.Grant) registry.Attempt {
	h.Helper()
	a, err := h.BeginPut(h.ctx(), registry.Actor{RequestID: "req-2"}, acme, u.ID, g.ID)
	h.must(err)
	return a
}

// putPart stores content as a part, with a fresh URL.
func (h *house) putPart(u registry.Upload, number int, content string) registry.Attempt {
	h.Helper()
	a := h.takePart(u, h.partURL(u, number))
	_, err := h.CompletePut(h.ctx(), a, md5Stored(content))
	h.must(err)
	return a
}

// md5Stored is stored with the MD5 that an ETag is made of.
func md5Stored(content string) registry.Stored {
	s := stored(content)
	sum := md5.Sum([]byte(content))
	s.MD5 = hex.EncodeToString(sum[:])
	return s
}

// allParts is a session with every part stored.
func (h *house) allParts() registry.Upload {
	h.Helper()
	u := h.beginParts()
	for n := 1; n <= 3; n++ {
		h.putPart(u, n, partContent[n])
	}
	return u
}

func (h *house) upload(id registry.UploadID) registry.Upload {
	h.Helper()
	u, err := h.Upload(h.ctx(), acme, id)
	h.must(err)
	return u
}

func TestSessionsInPartsRefuse(t *testing.T) {
	h := newHouse(t)
	for _, size := range []int64{-1, 0} {
		n := partsOf
		n.PartSize = size
		if n.PartSize == 0 {
			n.PartSize, n.Size = 1, registry.MaxParts+1
		}
		_, err := h.CreateUpload(h.ctx(), h.amy, n)
		h.want(err, registry.ErrInvalid)
	}
	u := h.beginParts()
	for _, number := range []int{-1, 0, 4, registry.MaxParts} {
		_, _, err := h.IssuePartURL(h.ctx(), h.amy, u.ID, number, time.Minute)
		h.want(err, registry.ErrInvalid)
		_, err = h.RegisterPart(h.ctx(), h.amy, acme, u.ID, number, registry.Registration{})
		h.want(err, registry.ErrInvalid)
	}
	_, _, err := h.IssuePartURL(h.ctx(), h.amy, u.ID, 1, 0)
	h.want(err, registry.ErrInvalid)
	_, _, err = h.IssuePartURL(h.ctx(), h.amy, "upl_none", 1, time.Minute)
	h.want(err, registry.ErrNotFound)
	_, err = h.IssuePutURL(h.ctx(), h.amy, u.ID, time.Minute)
	h.want(err, registry.ErrInvalid)
	_, err = h.BeginPut(h.ctx(), h.amy, acme, u.ID, "")
	h.want(err, registry.ErrInvalid)

	whole := h.begin()
	_, _, err = h.IssuePartURL(h.ctx(), h.amy, whole.Upload.ID, 1, time.Minute)
	h.want(err, registry.ErrInvalid)
	_, _, err = h.SessionParts(h.ctx(), acme, whole.Upload.ID, 0, 10)
	h.want(err, registry.ErrInvalid)
	_, _, err = h.SessionParts(h.ctx(), acme, "upl_none", 0, 10)
	h.want(err, registry.ErrNotFound)
}

// TestPartRefusals walks what stands between a part's URL and its bytes.
func TestPartRefusals(t *testing.T) {
	tests := []struct {
		name string
		make func(h *house, u registry.Upload) registry.GrantID
		want error
	}{
		{"Revoked", func(h *house, u registry.Upload) registry.GrantID {
			g := h.partURL(u, 1)
			h.must(h.RevokeGrant(h.ctx(), h.amy, acme, g.ID))
			return g.ID
		}, registry.ErrGrantRevoked},
		{"Superseded", func(h *house, u registry.Upload) registry.GrantID {
			g := h.partURL(u, 1)
			h.partURL(u, 1)
			return g.ID
		}, registry.ErrGrantSuperseded},
		{"Expired", func(h *house, u registry.Upload) registry.GrantID {
			g := h.partURL(u, 1)
			h.time.pass(16 * time.Minute)
			return g.ID
		}, registry.ErrGrantExpired},
		{"Aborted", func(h *house, u registry.Upload) registry.GrantID {
			g := h.partURL(u, 1)
			h.must(h.AbortUpload(h.ctx(), h.amy, acme, u.ID))
			return g.ID
		}, registry.ErrUploadAborted},
		{"RevokedKey", func(h *house, u registry.Upload) registry.GrantID {
			g := h.partURL(u, 1)
			h.must(h.RevokeKey(h.ctx(), h.amy, acme, registry.AccessKeyID(h.amy.Credential)))
			return g.ID
		}, registry.ErrRevoked},
		{"Stored", func(h *house, u registry.Upload) registry.GrantID {
			return h.putPart(u, 1, "aaaa").Grant
		}, registry.ErrUploadAlreadyReceived},
		{"Registered", func(h *house, u registry.Upload) registry.GrantID {
			h.putPart(u, 1, "aaaa")
			g := h.partURL(u, 1)
			s := md5Stored("aaaa")
			_, err := h.RegisterPart(h.ctx(), h.amy, acme, u.ID, 1, registry.Registration{ETag: s.MD5, Size: 4})
			h.must(err)
			return g.ID
		}, registry.ErrUploadAlreadyReceived},
		{"Finalized", func(h *house, u registry.Upload) registry.GrantID {
			g := h.putPart(u, 1, "aaaa").Grant
			h.putPart(u, 2, "bbbb")
			h.putPart(u, 3, "cc")
			_, err := h.Finalize(h.ctx(), h.amy, acme, u.ID, "")
			h.must(err)
			return g
		}, registry.ErrUploadFinalized},
		{"InProgress", func(h *house, u registry.Upload) registry.GrantID {
			g := h.partURL(u, 1)
			h.takePart(u, g)
			return g.ID
		}, registry.ErrUploadInProgress},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			u := h.beginParts()
			grant := test.make(h, u)
			if _, err := h.BeginPut(h.ctx(), h.amy, acme, u.ID, grant); !errors.Is(err, test.want) {
				t.Errorf("BeginPut: got %v, want %v", err, test.want)
			}
			if _, err := h.PutTicket(h.ctx(), acme, grant); !errors.Is(err, test.want) {
				t.Errorf("PutTicket: got %v, want %v", err, test.want)
			}
		})
	}
}

// TestOneOfManyWinsAPart: each part has one turn, whatever the others do.
func TestOneOfManyWinsAPart(t *testing.T) {
	h := newHouse(t)
	u := h.beginParts()
	var won, busy atomic.Int32
	var wg sync.WaitGroup
	for n := 1; n <= 3; n++ {
		g := h.partURL(u, n)
		for range 32 {
			wg.Go(func() {
				a, err := h.BeginPut(h.ctx(), registry.Actor{}, acme, u.ID, g.ID)
				switch {
				case err == nil:
					won.Add(1)
					if _, err := h.CompletePut(h.ctx(), a, md5Stored(partContent[n])); err != nil {
						t.Error(err)
					}
				case errors.Is(err, registry.ErrUploadInProgress), errors.Is(err, registry.ErrUploadAlreadyReceived):
					busy.Add(1)
				default:
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if won.Load() != 3 || busy.Load() != 93 {
		t.Errorf("%d won, %d were refused", won.Load(), busy.Load())
	}
	if got := h.upload(u.ID); got.Received != 10 || got.State != registry.UploadUploading {
		t.Errorf("session is %s with %d bytes", got.State, got.Received)
	}
}

func TestFinalizeJoinsTheParts(t *testing.T) {
	h := newHouse(t)
	u := h.beginParts()
	h.putPart(u, 3, "cc")
	h.putPart(u, 1, "aaaa")
	_, err := h.Finalize(h.ctx(), h.amy, acme, u.ID, "")
	h.want(err, registry.ErrUploadNotReceived)
	h.putPart(u, 2, "bbbb")
	h.reopen()
	o, err := h.Finalize(h.ctx(), h.amy, acme, u.ID, digest("aaaabbbbcc"))
	h.must(err)

	var sums []byte
	for _, part := range partContent[1:] {
		sum := md5.Sum([]byte(part))
		sums = append(sums, sum[:]...)
	}
	if want := fmt.Sprintf("%x-3", md5.Sum(sums)); o.ETag != want {
		t.Errorf("etag %s, want %s", o.ETag, want)
	}
	if len(o.Extents) != 3 || o.Size != 10 || o.SHA256 != "" || o.State != registry.ObjectQuarantined {
		t.Errorf("object is %s: %d bytes in %d extents, sha256 %q", o.State, o.Size, len(o.Extents), o.SHA256)
	}
	again, err := h.Finalize(h.ctx(), h.amy, acme, u.ID, digest("aaaabbbbcc"))
	h.must(err)
	if again.ID != o.ID || again.Seq != o.Seq {
		t.Error("finalizing again made something new")
	}
	_, err = h.Finalize(h.ctx(), h.amy, acme, u.ID, digest("other"))
	h.want(err, registry.ErrChecksumMismatch)
	if parts, _, err := h.SessionParts(h.ctx(), acme, u.ID, 0, 10); err != nil || len(parts) != 0 {
		t.Errorf("%d parts are left (%v)", len(parts), err)
	}
	parts, err := h.ObjectParts(h.ctx(), acme, o.ID)
	h.must(err)
	if len(parts) != 3 || parts[0].Size != 4 || parts[2].Size != 2 || parts[2].Number != 3 {
		t.Errorf("the object remembers %+v", parts)
	}
	want := []registry.EventType{registry.EventUploadCreated}
	for i := range 3 {
		want = append(want, registry.EventUploadURLIssued)
		if i == 0 {
			want = append(want, registry.EventUploadReceiving)
		}
		want = append(want, registry.EventUploadPartReceived)
	}
	want = append(want, registry.EventUploadReceived, registry.EventUploadFinalized, registry.EventObjectQuarantined)
	if got := h.events(o.ID); !slices.Equal(got, want) {
		t.Errorf("timeline %v, want %v", got, want)
	}

	c := h.claim()
	c.SHA256 = digest("aaaabbbbcc")
	if o, err = h.SettleScan(h.ctx(), c, clean, "text/plain"); err != nil || o.SHA256 != c.SHA256 {
		t.Fatalf("sha256 %q (%v)", o.SHA256, err)
	}
	seen := map[registry.BlobKey]bool{}
	for _, target := range o.Targets {
		seen[target] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d parts go to %d places", len(o.Targets), len(seen))
	}
	o, err = h.Publish(h.ctx(), acme, o.ID)
	h.must(err)
	if o.State != registry.ObjectPublished {
		t.Errorf("object is %s", o.State)
	}
}

// TestDigestOfAWhole: what was declared and what inspection read have to agree.
func TestDigestOfAWhole(t *testing.T) {
	right, wrong := digest("aaaabbbbcc"), digest("other")
	tests := []struct {
		name                      string
		declared, finalized, read string
		refused                   bool // at finalize
		state                     registry.ObjectState
		reason                    string
		verdict                   registry.VerdictResult
		engines                   registry.VerdictResult
	}{
		{"Nothing", "", "", right, false, registry.ObjectScanning, "", registry.VerdictClean, registry.VerdictClean},
		{"DeclaredRight", right, "", right, false, registry.ObjectScanning, "", registry.VerdictClean, registry.VerdictClean},
		{"DeclaredWrong", wrong, "", right, false, registry.ObjectRejected, registry.ReasonChecksum, registry.VerdictRefused, registry.VerdictClean},
		{"FinalizedWrong", "", wrong, right, false, registry.ObjectRejected, registry.ReasonChecksum, registry.VerdictRefused, registry.VerdictClean},
		{"BothDiffer", right, wrong, right, true, registry.ObjectRejected, registry.ReasonChecksum, registry.VerdictRefused, ""},
		{"NobodyRead", right, "", "", false, registry.ObjectQuarantined, registry.ReasonUnread, registry.VerdictIncomplete, registry.VerdictClean},
		{"InfectedCountsMore", wrong, "", right, false, registry.ObjectRejected, "eicar", registry.VerdictInfected, registry.VerdictInfected},
		{"HeldAndWrong", wrong, "", right, false, registry.ObjectRejected, registry.ReasonChecksum, registry.VerdictRefused, registry.VerdictIncomplete},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			n := partsOf
			n.SHA256 = test.declared
			b, err := h.CreateUpload(h.ctx(), h.amy, n)
			h.must(err)
			for i := 1; i <= 3; i++ {
				h.putPart(b.Upload, i, partContent[i])
			}
			o, err := h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, test.finalized)
			if test.refused {
				h.want(err, registry.ErrChecksumMismatch)
			} else {
				h.must(err)
				c := h.claim()
				c.SHA256 = test.read
				v := registry.Verdict{Result: test.engines}
				if test.engines == registry.VerdictInfected {
					v.Reason = "eicar"
				}
				o, err = h.SettleScan(h.ctx(), c, v, "text/plain")
				h.must(err)
				if o.SHA256 != test.read {
					t.Errorf("sha256 %q, inspection read %q", o.SHA256, test.read)
				}
			}
			if o.State != test.state || o.Verdict == nil || o.Verdict.Reason != test.reason || o.Verdict.Result != test.verdict {
				t.Errorf("object is %s, verdict %+v", o.State, o.Verdict)
			}
		})
	}
}

// TestReplacingAPart: a fresh URL replaces what is stored until it is registered;
// until it has, the earlier bytes are the part's.
func TestReplacingAPart(t *testing.T) {
	h := newHouse(t)
	u := h.allParts()
	old := h.putPart(u, 2, "BBBB")
	failed := h.takePart(u, h.partURL(u, 2))
	h.must(h.FailPut(h.ctx(), failed, "test"))
	if h.garbage()[old.Blob] || !h.garbage()[failed.Blob] {
		t.Error("a failed replacement took the part with it, or left its bytes")
	}
	running := h.takePart(u, h.partURL(u, 2))
	parts, _, err := h.SessionParts(h.ctx(), acme, u.ID, 0, 10)
	h.must(err)
	if parts[1].ETag != md5Stored("BBBB").MD5 {
		t.Error("a part that is being replaced is not the earlier one")
	}
	_, err = h.CompletePut(h.ctx(), running, md5Stored("bbbb"))
	h.must(err)
	if !h.garbage()[old.Blob] || h.garbage()[running.Blob] {
		t.Error("garbage is not the bytes that were replaced")
	}
	if got := h.upload(u.ID).Received; got != 10 {
		t.Errorf("%d bytes are counted", got)
	}

	late := h.takePart(u, h.partURL(u, 2))
	same := registry.Registration{ETag: md5Stored("bbbb").MD5, Size: 4, SHA256: digest("bbbb")}
	for _, wrong := range []registry.Registration{
		{ETag: md5Stored("BBBB").MD5, Size: 4}, {ETag: same.ETag, Size: 5}, {ETag: same.ETag, Size: 4, SHA256: digest("x")}, {},
	} {
		_, err := h.RegisterPart(h.ctx(), h.amy, acme, u.ID, 2, wrong)
		h.want(err, registry.ErrPartConflict)
	}
	for range 2 {
		p, err := h.RegisterPart(h.ctx(), h.amy, acme, u.ID, 2, same)
		h.must(err)
		if !p.Registered {
			t.Error("the part is not registered")
		}
	}
	_, err = h.RegisterPart(h.ctx(), h.amy, acme, u.ID, 2, registry.Registration{ETag: same.ETag, Size: 5})
	h.want(err, registry.ErrPartConflict)
	_, err = h.CompletePut(h.ctx(), late, md5Stored("ZZZZ"))
	h.want(err, registry.ErrFenced)
	h.must(h.FailPut(h.ctx(), late, "fenced"))
	_, _, err = h.IssuePartURL(h.ctx(), h.amy, u.ID, 2, time.Minute)
	h.want(err, registry.ErrUploadAlreadyReceived)
	n := 0
	for _, e := range h.events(u.Object) {
		if e == registry.EventUploadPartRegistered {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d events of one registration", n)
	}
}

// TestAURLReplacedWhileItRan: what the old URL's attempt stores does not use the
// new one up.
func TestAURLReplacedWhileItRan(t *testing.T) {
	h := newHouse(t)
	u := h.beginParts()
	running := h.takePart(u, h.partURL(u, 1))
	fresh := h.partURL(u, 1)
	_, err := h.CompletePut(h.ctx(), running, md5Stored("aaaa"))
	h.must(err)
	a := h.takePart(u, fresh)
	_, err = h.CompletePut(h.ctx(), a, md5Stored("AAAA"))
	h.must(err)
	_, err = h.BeginPut(h.ctx(), h.amy, acme, u.ID, fresh.ID)
	h.want(err, registry.ErrUploadAlreadyReceived)
}

func TestPartFencing(t *testing.T) {
	tests := []struct {
		name string
		lose func(h *house, u registry.Upload, a registry.Attempt)
	}{
		{"LapsedLease", func(h *house, u registry.Upload, a registry.Attempt) {
			h.time.pass(61 * time.Second)
			_, err := h.BeginPut(h.ctx(), h.amy, acme, u.ID, a.Grant)
			h.must(err)
		}},
		{"DeadEpoch", func(h *house, u registry.Upload, a registry.Attempt) {
			h.reopen()
			_, err := h.BeginPut(h.ctx(), h.amy, acme, u.ID, a.Grant)
			h.must(err)
		}},
		{"Aborted", func(h *house, u registry.Upload, _ registry.Attempt) {
			h.must(h.AbortUpload(h.ctx(), h.amy, acme, u.ID))
		}},
		{"GivenBack", func(h *house, _ registry.Upload, a registry.Attempt) {
			h.must(h.FailPut(h.ctx(), a, "test"))
		}},
		{"Finalized", func(h *house, u registry.Upload, _ registry.Attempt) {
			h.putPart(u, 2, "bbbb")
			h.putPart(u, 3, "cc")
			_, err := h.Finalize(h.ctx(), h.amy, acme, u.ID, "")
			h.must(err)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHouse(t)
			u := h.beginParts()
			h.putPart(u, 1, "AAAA")
			a := h.takePart(u, h.partURL(u, 1))
			test.lose(h, u, a)
			_, err := h.CompletePut(h.ctx(), a, md5Stored("aaaa"))
			h.want(err, registry.ErrFenced)
			h.want(h.RenewLease(h.ctx(), a), registry.ErrFenced)
			h.must(h.FailPut(h.ctx(), a, "fenced"))
			if !h.garbage()[a.Blob] {
				t.Error("the loser's bytes are not garbage")
			}
		})
	}
}

// TestAbandonedPartsAreSwept, stored and running ones, by expiry and by the death of
// the process.
func TestAbandonedPartsAreSwept(t *testing.T) {
	h := newHouse(t)
	u := h.beginParts()
	first, second := h.putPart(u, 1, "aaaa"), h.putPart(u, 2, "bbbb")
	running := h.takePart(u, h.partURL(u, 3))
	h.reopen()
	if _, err := h.CondemnDeadIntents(h.ctx(), 100); err != nil {
		t.Fatal(err)
	}
	if !h.garbage()[running.Blob] || h.garbage()[first.Blob] {
		t.Error("the dead attempt's bytes are kept, or stored ones are not")
	}
	h.time.pass(2 * time.Hour)
	if n, err := h.ExpireDue(h.ctx(), 10); err != nil || n != 1 {
		t.Fatalf("expired %d (%v)", n, err)
	}
	if g := h.garbage(); !g[first.Blob] || !g[second.Blob] {
		t.Error("parts of an expired session are kept")
	}
	if s, err := h.Standing(h.ctx(), first.Blob); err != nil || s != registry.BlobLeftover {
		t.Errorf("standing %v (%v)", s, err)
	}
	_, _, err := h.IssuePartURL(h.ctx(), h.amy, u.ID, 1, time.Minute)
	h.want(err, registry.ErrUploadExpired)
	_, err = h.RegisterPart(h.ctx(), h.amy, acme, u.ID, 1, registry.Registration{})
	h.want(err, registry.ErrUploadExpired)
	_, err = h.Finalize(h.ctx(), h.amy, acme, u.ID, "")
	h.want(err, registry.ErrUploadExpired)
}

// TestAHeldPartKeepsTheSession: no session expires under a running part, and
// nothing new begins after its time.
func TestAHeldPartKeepsTheSession(t *testing.T) {
	h := newHouse(t)
	u := h.beginParts()
	h.time.pass(2*time.Hour - time.Minute)
	a := h.takePart(u, h.partURL(u, 1))
	for range 3 {
		h.time.pass(50 * time.Second)
		h.must(h.RenewLease(h.ctx(), a))
	}
	if n, err := h.ExpireDue(h.ctx(), 10); err != nil || n != 0 {
		t.Fatalf("expired %d (%v) under a running part", n, err)
	}
	if got := h.StateNow(ptr(h.upload(u.ID))); got != registry.UploadUploading {
		t.Errorf("session is %s", got)
	}
	for n := 1; n <= 2; n++ {
		_, _, err := h.IssuePartURL(h.ctx(), h.amy, u.ID, n, time.Minute)
		h.want(err, registry.ErrUploadExpired)
	}
	_, err := h.CompletePut(h.ctx(), a, md5Stored("aaaa"))
	h.must(err)
	h.time.pass(time.Minute)
	if n, err := h.ExpireDue(h.ctx(), 10); err != nil || n != 1 {
		t.Fatalf("expired %d (%v) after the last part", n, err)
	}
}

func ptr[T any](v T) *T { return &v }

func TestPartsOfTheWrongLength(t *testing.T) {
	h := newHouse(t)
	u := h.beginParts()
	a := h.takePart(u, h.partURL(u, 3))
	if a.Size != 2 || a.Part != 3 {
		t.Errorf("attempt at part %d of %d bytes", a.Part, a.Size)
	}
	for _, content := range []string{"", "c", "ccc", "cccc"} {
		_, err := h.CompletePut(h.ctx(), a, md5Stored(content))
		h.want(err, registry.ErrInvalid)
	}
	h.must(h.FailPut(h.ctx(), a, "test"))
	_, err := h.RegisterPart(h.ctx(), h.amy, acme, u.ID, 3, registry.Registration{Size: 2})
	h.want(err, registry.ErrUploadNotReceived)
}

func TestListingParts(t *testing.T) {
	h := newHouse(t)
	n := partsOf
	n.Size, n.PartSize = 25, 1
	b, err := h.CreateUpload(h.ctx(), h.amy, n)
	h.must(err)
	for i := 1; i <= 25; i += 2 {
		h.putPart(b.Upload, i, "x")
	}
	h.partURL(b.Upload, 2) // issued, not stored
	var got []int
	for after := 0; ; {
		parts, more, err := h.SessionParts(h.ctx(), acme, b.Upload.ID, after, 5)
		h.must(err)
		for _, p := range parts {
			got = append(got, p.Number)
		}
		if !more {
			break
		}
		after = parts[len(parts)-1].Number
	}
	if want := []int{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25}; !slices.Equal(got, want) {
		t.Errorf("parts %v", got)
	}
}

func TestAnEmptyFileInParts(t *testing.T) {
	h := newHouse(t)
	n := partsOf
	n.Size = 0
	b, err := h.CreateUpload(h.ctx(), h.amy, n)
	h.must(err)
	_, err = h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, "")
	h.want(err, registry.ErrUploadNotReceived)
	h.putPart(b.Upload, 1, "")
	o, err := h.Finalize(h.ctx(), h.amy, acme, b.Upload.ID, "")
	h.must(err)
	if o.Size != 0 || len(o.Extents) != 1 {
		t.Errorf("%d bytes in %d extents", o.Size, len(o.Extents))
	}
}
