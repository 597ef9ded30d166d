package pipeline_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/registry"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
)

func TestGoldenPath(t *testing.T) {
	r := newRig(t)
	for _, size := range []int{0, 1, 5<<20 + 1} {
		data := bytes.Repeat([]byte("x"), size)
		b := r.beginAs(admin, pipeline.BeginRequest{
			Filename: "a.txt", ContentType: "text/plain", Size: int64(size), SHA256: hexSHA256(data)})
		if b.Object.State != registry.ObjectPending {
			t.Errorf("begun: object is %s", b.Object.State)
		}
		stored, err := r.putBody(t.Context(), putRequest(b, size), bodyOf(data))
		if err != nil {
			t.Fatal(err)
		}
		if stored.Size != int64(size) || stored.SHA256 != hexSHA256(data) || stored.Checksums["sha256"] == "" {
			t.Errorf("stored %+v", stored)
		}
		o, err := r.Finalize(t.Context(), admin, b.Upload.ID, hexSHA256(data))
		if err != nil || o.State != registry.ObjectQuarantined {
			t.Fatalf("finalized: object is %s, %v", o.State, err)
		}
		r.scan()
		o = r.mustBe(b.Object.ID, registry.ObjectPublished)
		if o.Verdict == nil || o.Verdict.Result != registry.VerdictClean || o.ETag != stored.MD5 {
			t.Errorf("published %+v", o)
		}
		if got, err := r.read(o.ID); err != nil || !bytes.Equal(got, data) {
			t.Errorf("read %d bytes, %v; want the %d that were sent", len(got), err, size)
		}
		g, _, err := r.IssueGet(t.Context(), admin, o.ID, registry.Attachment, 0)
		if err != nil {
			t.Fatal(err)
		}
		f, err := r.FindGrant(t.Context(), pipeline.GetRequest{Tenant: admin.Tenant, Object: o.ID, Grant: g.ID})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(f.Open(t.Context(), 0, -1, nil)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("read by url %d bytes, %v", len(got), err)
		}
		if f, err = r.FindVersion(t.Context(), admin, registry.DefaultBucket, string(o.ID), ""); err != nil || f.Object.ID != o.ID {
			t.Errorf("under its key: %v", err)
		}
	}
}

func TestReadRanges(t *testing.T) {
	r := newRig(t)
	data := bytes.Repeat(text, 10_000)
	size := int64(len(data))
	b := r.published(data)
	f, err := r.FindObject(t.Context(), admin, b.Object.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ off, n, want int64 }{
		{0, -1, size}, {4, 50_000, 50_000}, {4, 5, 5}, {size - 1, 10, 1}, {size, -1, 0}, {7, 0, 0},
	} {
		rd, err := f.Open(t.Context(), c.off, c.n, nil)
		if err != nil {
			t.Fatal(err)
		}
		if rd.Len() != c.want {
			t.Errorf("range %d+%d: length %d, want %d", c.off, c.n, rd.Len(), c.want)
		}
		// The disk store has read a short range when it opens it.
		if file, off, n, ok := rd.File(); ok != (c.want > 10) || ok && (n != c.want || file == nil || off != c.off) {
			t.Errorf("range %d+%d: file range %d+%d, %t", c.off, c.n, off, n, ok)
		}
		got, err := io.ReadAll(rd)
		if err != nil || !bytes.Equal(got, data[c.off:c.off+c.want]) {
			t.Errorf("range %d+%d: %d bytes, %v", c.off, c.n, len(got), err)
		}
		if err := rd.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.Open(t.Context(), size+1, 1, nil); err == nil {
		t.Error("a range outside the object was opened")
	}
}

func TestDirectPutIsVisibleAtOnce(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	for _, content := range [][]byte{nil, text, bytes.Repeat(text, 10_000)} {
		o, err := r.putKey("photos", "a/b", content)
		if err != nil {
			t.Fatal(err)
		}
		if o.State != registry.ObjectPublished || o.Verdict == nil || o.DetectedType == "" {
			t.Errorf("put %+v", o)
		}
		f, err := r.FindVersion(t.Context(), admin, "photos", "a/b", "")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(f.Open(t.Context(), 0, -1, nil)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("read %d bytes, %v; want %d", len(got), err, len(content))
		}
	}
	if list, err := r.List(t.Context(), admin, "photos", registry.ListQuery{Max: 10}); err != nil || len(list.Entries) != 1 {
		t.Errorf("list: %+v, %v", list, err)
	}
	if err := r.deleteKeys("photos", "a/b", "never"); err != nil {
		t.Error(err)
	}
	if _, err := r.FindVersion(t.Context(), admin, "photos", "a/b", ""); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
}

func TestDirectPutConditions(t *testing.T) {
	r := newRig(t)
	r.bucket("photos")
	req := pipeline.ObjectRequest{
		Bucket: "photos", Key: "k", Declared: pipeline.Declared{Length: int64(len(text))},
		Conditions: registry.Conditions{IfNoneMatch: "*"}}
	var tickets []*pipeline.ObjectTicket
	for range 2 {
		ticket, err := r.AdmitObject(t.Context(), admin, req)
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	for i, want := range []error{nil, registry.ErrPrecondition} {
		if _, err := r.PutObject(t.Context(), tickets[i], bodyOf(text)); !errors.Is(err, want) {
			t.Errorf("put %d: %v, want %v", i, err, want)
		}
	}
	if _, err := r.AdmitObject(t.Context(), admin, req); !errors.Is(err, registry.ErrPrecondition) {
		t.Errorf("admission: %v, want ErrPrecondition before the body", err)
	}
	req.Key = strings.Repeat("k", 1025)
	if _, err := r.AdmitObject(t.Context(), admin, req); !errors.Is(err, policy.ErrInvalid) {
		t.Errorf("long key: %v, want ErrInvalid", err)
	}
}

// Invariant 11: memory does not grow with the size of a body.
func TestMemoryDoesNotGrowWithTheBody(t *testing.T) {
	r := newRig(t)
	const size = 64 << 20
	b := r.begin(size)
	before := liveHeap()
	var during uint64
	end := func() { during = liveHeap() }
	if _, err := r.putBody(t.Context(), putRequest(b, size), bodyFrom(&atEnd{blobtest.Bytes(1, size), end})); err != nil {
		t.Fatal(err)
	}
	if during > before+8<<20 {
		t.Errorf("%d MiB held at the end of a body of %d", (during-before)>>20, size>>20)
	}
}

// liveHeap returns the bytes in use, without those that could be collected.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// atEnd calls end before it lets its reader's end be seen.
type atEnd struct {
	r   io.Reader
	end func()
}

func (a *atEnd) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if err == io.EOF {
		a.end()
	}
	return n, err
}

func TestMetrics(t *testing.T) {
	r := newRig(t)
	reg := prometheus.NewPedanticRegistry()
	for _, c := range append(r.Metrics(), r.worker.Metrics()...) {
		if err := reg.Register(c); err != nil {
			t.Error(err)
		}
	}
	b := r.published(text)
	if err := r.put(b, text); err == nil {
		t.Fatal("a url was good twice")
	}
	if _, err := r.read(b.Object.ID); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	n := float64(len(text))
	for name, want := range map[string]float64{
		"urls_issued_total put":        1,
		"transfers_total put ok":       1,
		"transfers_total get ok":       1,
		"refusals_total put finalized": 1,
		"transfer_bytes_total in":      n,
		"transfer_bytes_total out":     n,
		"promotions_total ok":          1,
		"scans_total clean":            1,
		"transfers_running":            0,
	} {
		if v, ok := got[name]; !ok && want > 0 || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}

// A direct bucket that names its types means the content, too; one that does not
// takes any label, as S3 does.
func TestDirectBucketsWithTypes(t *testing.T) {
	r := newRig(t)
	r.bucket("any")
	if err := r.PutProfile(t.Context(), admin, registry.Bucket{
		Name: "images", Intake: registry.IntakeDirect, AllowedTypes: []string{"image/*"}}); err != nil {
		t.Fatal(err)
	}
	put := func(bucket registry.BucketName, contentType string, data []byte) error {
		ticket, err := r.AdmitObject(t.Context(), admin, pipeline.ObjectRequest{
			Bucket: bucket, Key: "k", Declared: pipeline.Declared{Length: int64(len(data)), ContentType: contentType}})
		if err == nil {
			_, err = r.PutObject(t.Context(), ticket, bodyOf(data))
		}
		return err
	}
	png := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), make([]byte, 100)...)
	for _, c := range []struct {
		name, contentType string
		bucket            registry.BucketName
		data              []byte
		want              error
	}{
		{"type not allowed", "text/plain", "images", text, policy.ErrTypeNotAllowed},
		{"text as image", "image/png", "images", text, policy.ErrTypeNotAllowed},
		{"undeclared text", "", "images", text, policy.ErrTypeNotAllowed},
		{"image", "image/png", "images", png, nil},
		{"undeclared image", "", "images", png, nil},
		{"text as image, anything goes", "image/png", "any", text, nil},
		{"nonsense, anything goes", "nonsense", "any", text, nil},
	} {
		if err := put(c.bucket, c.contentType, c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestQuarantineBucketTakesS3Writes(t *testing.T) {
	r := newRig(t)
	o, err := r.putKey(registry.DefaultBucket, "k", text)
	if err != nil || o.State != registry.ObjectQuarantined {
		t.Fatalf("%s, %v", o.State, err)
	}
	if _, err := r.FindVersion(t.Context(), admin, registry.DefaultBucket, "k", ""); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("before the scan: %v", err)
	}
	r.scan()
	if _, err := r.FindVersion(t.Context(), admin, registry.DefaultBucket, "k", ""); err != nil {
		t.Errorf("after the scan: %v", err)
	}
}
