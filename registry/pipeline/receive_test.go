package pipeline_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/crc64nvme"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/blob/blobtest"
	"sallyport/registry/pipeline"
	"sallyport/registry/policy"
)

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// sums are the checksums of data as S3 writes them.
func sums(data []byte) map[string]string {
	sha1, sha256 := sha1.Sum(data), []byte(nil)
	sha256, _ = hex.DecodeString(hexSHA256(data))
	return map[string]string{
		"crc32":     b64(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data))),
		"crc32c":    b64(binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))),
		"crc64nvme": b64(binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum(data))),
		"sha1":      b64(sha1[:]),
		"sha256":    b64(sha256),
	}
}

func md5Of(data []byte) string {
	sum := md5.Sum(data)
	return b64(sum[:])
}

// usable fails unless the session can still be stored, and stores it.
func (r *rig) usable(b registry.Begun, data []byte) {
	r.tb.Helper()
	if u := r.upload(b.Upload.ID); u.State != registry.UploadCreated {
		r.tb.Errorf("session is %s after a failed attempt; want created", u.State)
	}
	if err := r.put(b, data); err != nil {
		r.tb.Errorf("the url is not usable again: %v", err)
	}
}

// Invariant 3: the length is known to be right before a byte is read.
func TestAdmissionRefusesOnHeaders(t *testing.T) {
	r := newRig(t)
	n := int64(len(text))
	b := r.beginAs(admin, pipeline.BeginRequest{
		Filename: "a.txt", ContentType: "text/plain", Size: n, SHA256: hexSHA256(text)})
	other := sums([]byte("other"))
	for _, c := range []struct {
		name     string
		declared pipeline.Declared
		want     error
	}{
		{"no length", pipeline.Declared{Length: -1}, pipeline.ErrMissingLength},
		{"one byte more", pipeline.Declared{Length: n + 1}, pipeline.ErrTooLong},
		{"one byte less", pipeline.Declared{Length: n - 1}, pipeline.ErrTooShort},
		{"nothing", pipeline.Declared{Length: 0}, pipeline.ErrTooShort},
		{"md5 that is not base64", pipeline.Declared{Length: n, ContentMD5: "%%"}, pipeline.ErrInvalidDigest},
		{"md5 that is too short", pipeline.Declared{Length: n, ContentMD5: b64([]byte("short"))}, pipeline.ErrInvalidDigest},
		{"payload hash that is not hex", pipeline.Declared{Length: n, PayloadSHA256: "xyz"}, pipeline.ErrInvalidDigest},
		{"unknown checksum", pipeline.Declared{Length: n, Checksums: map[string]string{"crc7": "AA=="}}, pipeline.ErrInvalidDigest},
		{"checksum of another length", pipeline.Declared{Length: n, Checksums: map[string]string{"crc32": b64(make([]byte, 8))}}, pipeline.ErrInvalidDigest},
		{"two checksums", pipeline.Declared{Length: n, Checksums: map[string]string{"crc32": other["crc32"], "sha1": other["sha1"]}}, pipeline.ErrInvalidDigest},
		{"checksum and trailer", pipeline.Declared{Length: n, Checksums: map[string]string{"crc32": other["crc32"]}, Trailers: []string{"x-amz-checksum-sha1"}}, pipeline.ErrInvalidDigest},
		{"trailer that is no checksum", pipeline.Declared{Length: n, Trailers: []string{"x-amz-meta-a"}}, pipeline.ErrInvalidDigest},
		{"another sha256 than the session's", pipeline.Declared{Length: n, Checksums: map[string]string{"sha256": other["sha256"]}}, pipeline.ErrBadDigest},
		{"another payload than the session's", pipeline.Declared{Length: n, PayloadSHA256: hexSHA256([]byte("other"))}, pipeline.ErrBadDigest},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := putRequest(b, 0)
			req.Declared = c.declared
			if _, err := r.AdmitPut(t.Context(), req); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if n := r.events(registry.EventUploadReceiving); n != 0 {
		t.Errorf("admission took the turn %d times", n)
	}
	r.usable(b, text)
}

func TestAdmissionOrder(t *testing.T) {
	r := newRig(t)
	b := r.received(text)
	req := putRequest(b, 1) // the length is wrong, too
	if _, err := r.AdmitPut(t.Context(), req); !errors.Is(err, registry.ErrUploadAlreadyReceived) {
		t.Errorf("stored: %v, want ErrUploadAlreadyReceived", err)
	}
	req.Grant = "g_unknown"
	if _, err := r.AdmitPut(t.Context(), req); !errors.Is(err, registry.ErrGrantRevoked) {
		t.Errorf("unknown grant: %v, want ErrGrantRevoked", err)
	}
	one, other := r.begin(len(text)), r.begin(len(text))
	req = putRequest(one, len(text))
	req.Upload = other.Upload.ID
	if _, err := r.AdmitPut(t.Context(), req); !errors.Is(err, registry.ErrGrantRevoked) {
		t.Errorf("another upload's grant: %v, want ErrGrantRevoked", err)
	}
	req = putRequest(b, len(text))
	req.Tenant = "other"
	if _, err := r.AdmitPut(t.Context(), req); !errors.Is(err, registry.ErrGrantRevoked) {
		t.Errorf("another tenant: %v, want ErrGrantRevoked", err)
	}
}

// Bodies that do not keep their promise: typed error, nothing left, url usable.
func TestBadBodies(t *testing.T) {
	r := newRig(t)
	data := bytes.Repeat(text, 1000)
	wrong := sums([]byte("other"))
	type bad struct {
		name     string
		declared pipeline.Declared
		body     pipeline.Body
		want     error
	}
	rows := []bad{
		{"cut off", pipeline.Declared{}, bodyOf(data[:len(data)/2]), pipeline.ErrIncompleteBody},
		{"empty", pipeline.Declared{}, bodyOf(nil), pipeline.ErrIncompleteBody},
		{"hang-up", pipeline.Declared{}, bodyFrom(io.MultiReader(bytes.NewReader(data[:10]), failing{io.ErrUnexpectedEOF})), pipeline.ErrIncompleteBody},
		{"one byte more", pipeline.Declared{}, bodyOf(append(bytes.Clone(data), 'x')), pipeline.ErrTooLong},
		{"its own error", pipeline.Declared{}, bodyFrom(io.MultiReader(bytes.NewReader(data[:10]), failing{errFault})), errFault},
		{"its own error at the end", pipeline.Declared{}, bodyFrom(io.MultiReader(bytes.NewReader(data), failing{errFault})), errFault},
		{"md5", pipeline.Declared{ContentMD5: md5Of([]byte("other"))}, bodyOf(data), pipeline.ErrBadDigest},
		{"payload hash", pipeline.Declared{PayloadSHA256: hexSHA256([]byte("other"))}, bodyOf(data), pipeline.ErrPayloadMismatch},
		{"trailer but no trailers", pipeline.Declared{Trailers: []string{"x-amz-checksum-crc32"}}, bodyOf(data), pipeline.ErrInvalidDigest},
		{"announced trailer missing", pipeline.Declared{Trailers: []string{"x-amz-checksum-crc32"}}, &trailed{body: bodyOf(data)}, pipeline.ErrIncompleteBody},
		{"malformed trailer", pipeline.Declared{Trailers: []string{"x-amz-checksum-crc32"}},
			&trailed{bodyOf(data), map[string]string{"x-amz-checksum-crc32": "%"}}, pipeline.ErrInvalidDigest},
	}
	for algorithm, sum := range wrong {
		rows = append(rows,
			bad{algorithm, pipeline.Declared{Checksums: map[string]string{algorithm: sum}}, bodyOf(data), pipeline.ErrBadDigest},
			bad{algorithm + " trailer", pipeline.Declared{Trailers: []string{"X-Amz-Checksum-" + algorithm}},
				&trailed{bodyOf(data), map[string]string{"x-amz-checksum-" + algorithm: sum}}, pipeline.ErrBadDigest})
	}
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			b := r.begin(len(data))
			req := putRequest(b, len(data))
			req.Declared = c.declared
			req.Declared.Length = int64(len(data))
			if _, err := r.putBody(t.Context(), req, c.body); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			r.usable(b, data)
		})
	}
}

func TestDigestsThatHold(t *testing.T) {
	r := newRig(t)
	for _, data := range [][]byte{nil, text, bytes.Repeat(text, 50_000)} {
		for algorithm, sum := range sums(data) {
			for name, row := range map[string]struct {
				declared pipeline.Declared
				body     pipeline.Body
			}{
				"header": {pipeline.Declared{Checksums: map[string]string{algorithm: sum}}, bodyOf(data)},
				"trailer": {pipeline.Declared{Trailers: []string{"x-amz-checksum-" + algorithm}},
					&trailed{bodyOf(data), map[string]string{"x-amz-checksum-" + algorithm: sum}}},
			} {
				row.declared.ContentMD5, row.declared.PayloadSHA256 = md5Of(data), hexSHA256(data)
				row.declared.Length = int64(len(data))
				b := r.begin(len(data))
				req := putRequest(b, len(data))
				req.Declared = row.declared
				stored, err := r.putBody(t.Context(), req, row.body)
				if err != nil {
					t.Fatalf("%s %s of %d bytes: %v", algorithm, name, len(data), err)
				}
				if stored.Checksums[algorithm] != sum || stored.SHA256 != hexSHA256(data) {
					t.Errorf("%s %s of %d bytes: stored %+v", algorithm, name, len(data), stored)
				}
				if md5, _ := base64.StdEncoding.DecodeString(md5Of(data)); stored.MD5 != hex.EncodeToString(md5) {
					t.Errorf("%d bytes: md5 %s", len(data), stored.MD5)
				}
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type trailed struct {
	*body
	trailers map[string]string
}

func (b *trailed) Trailer(name string) (string, bool) {
	v, ok := b.trailers[name]
	return v, ok
}

// Invariant 2: any number of PUTs on one url store once.
func TestOneOfManyWins(t *testing.T) {
	r := newRig(t)
	const n = 64
	b := r.begin(len(text))
	winner := -1
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			data := bytes.ToUpper(text)
			data[0] = byte('a' + i%26)
			<-start
			err := r.put(b, data)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && winner >= 0:
				t.Error("a second PUT succeeded")
			case err == nil:
				winner = i
			case !errors.Is(err, registry.ErrUploadInProgress) && !errors.Is(err, registry.ErrUploadAlreadyReceived):
				t.Errorf("loser: %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	if winner < 0 {
		t.Fatal("no PUT succeeded")
	}
	if n := r.events(registry.EventUploadReceived); n != 1 {
		t.Errorf("%d events of success, want 1", n)
	}
	if _, err := r.Finalize(t.Context(), admin, b.Upload.ID, ""); err != nil {
		t.Fatal(err)
	}
	r.scan()
	got, err := r.read(b.Object.ID)
	if err != nil || got[0] != byte('a'+winner%26) {
		t.Errorf("read %q, %v; want the winner's bytes", got, err)
	}
}

func TestWhileOneRunsOthersAreRefused(t *testing.T) {
	r := newRig(t)
	b := r.begin(len(text))
	first := gated(text)
	done := make(chan error, 1)
	go func() {
		_, err := r.putBody(r.ctx(), putRequest(b, len(text)), first)
		done <- err
	}()
	await(t, "first attempt", first.reached)
	if err := r.put(b, text); !errors.Is(err, registry.ErrUploadInProgress) {
		t.Errorf("second attempt: %v, want ErrUploadInProgress", err)
	}
	if _, err := r.AdmitContent(t.Context(), admin, b.Upload.ID, pipeline.Declared{Length: int64(len(text))}); !errors.Is(err, registry.ErrUploadInProgress) {
		t.Errorf("through the control port: %v, want ErrUploadInProgress", err)
	}
	close(first.open)
	if err := <-done; err != nil {
		t.Errorf("first attempt: %v", err)
	}
}

// A client that stalls is ended by its own deadline or by the context; either
// way the turn comes back and nobody reads the body any more.
func TestStalledBodyGivesTheTurnBack(t *testing.T) {
	r := newRig(t)
	b := r.begin(len(text))
	for name, end := range map[string]func(*stall, context.CancelFunc){
		"deadline": func(s *stall, _ context.CancelFunc) { s.Interrupt() },
		"context":  func(_ *stall, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			s := stalling(text[:10])
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := r.putBody(ctx, putRequest(b, len(text)), s)
				done <- err
			}()
			await(t, "body", s.waiting)
			end(s, cancel)
			select {
			case err := <-done:
				if err == nil {
					t.Error("half a body was stored")
				}
			case <-time.After(20 * time.Second):
				t.Fatal("receive hangs")
			}
			if u := r.upload(b.Upload.ID); u.State != registry.UploadCreated {
				t.Errorf("session is %s", u.State)
			}
		})
	}
	r.usable(b, text)
}

type panicking struct{ body }

func (*panicking) Read([]byte) (int, error) { panic("the body panics") }

func TestPanicGivesTheTurnBack(t *testing.T) {
	r := newRig(t)
	b := r.begin(len(text))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = r.putBody(t.Context(), putRequest(b, len(text)), &panicking{})
	}()
	r.usable(b, text)
}

func TestStoreFailuresGiveTheTurnBack(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name  string
		fault blobtest.Fault
		want  error
	}{
		{"down", blobtest.Fault{Op: blobtest.Put, When: blobtest.Before, Nth: 1}, blob.ErrUnavailable},
		{"midway", blobtest.Fault{Op: blobtest.Put, When: blobtest.Midway, Nth: 1}, blob.ErrUnavailable},
		{"after", blobtest.Fault{Op: blobtest.Put, When: blobtest.After, Nth: 1}, blob.ErrUnavailable},
		{"full", blobtest.Fault{Op: blobtest.Put, When: blobtest.Midway, Nth: 1, Err: blob.ErrFull}, pipeline.ErrNoSpace},
		{"corrupt", blobtest.Fault{Op: blobtest.Put, When: blobtest.After, Nth: 1, Err: blob.ErrCorrupt}, blob.ErrCorrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := r.begin(len(text))
			r.blobs.Inject(c.fault)
			if err := r.put(b, text); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			r.blobs.Heal()
			r.usable(b, text)
		})
	}
}

func TestNoSpace(t *testing.T) {
	r := newRig(t, func(c *pipeline.Config) { c.MinFree = 1 << 20 })
	b := r.begin(len(text))
	done := r.published(text)
	r.bucket("photos")
	r.blobs.SetFree(1<<20 + uint64(len(text)) - 1)
	refused := map[string]error{}
	refused["put"] = r.put(b, text)
	_, refused["begin"] = r.Begin(t.Context(), admin, pipeline.BeginRequest{Filename: "a", ContentType: "text/plain", Size: int64(len(text))})
	_, refused["put object"] = r.putKey("photos", "k", text)
	_, refused["content"] = r.AdmitContent(t.Context(), admin, b.Upload.ID, pipeline.Declared{Length: int64(len(text))})
	for what, err := range refused {
		if !errors.Is(err, pipeline.ErrNoSpace) {
			t.Errorf("%s: %v, want ErrNoSpace", what, err)
		}
	}
	if _, err := r.read(done.Object.ID); err != nil {
		t.Errorf("reads go on: %v", err)
	}
	if err := r.Delete(t.Context(), admin, done.Object.ID); err != nil {
		t.Errorf("deletes go on: %v", err)
	}
	r.blobs.SetFree(1<<20 + uint64(len(text)))
	r.usable(b, text)
}

func TestContentThroughTheControlPort(t *testing.T) {
	r := newRig(t)
	b := r.begin(len(text))
	d := pipeline.Declared{Length: int64(len(text))}
	ticket, err := r.AdmitContent(t.Context(), admin, b.Upload.ID, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Receive(t.Context(), ticket, bodyOf(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AdmitContent(t.Context(), admin, b.Upload.ID, d); !errors.Is(err, registry.ErrUploadAlreadyReceived) {
		t.Errorf("again: %v, want ErrUploadAlreadyReceived", err)
	}
	stranger := registry.Actor{Tenant: admin.Tenant, Principal: "eve", Roles: []registry.Role{registry.RoleUploader}}
	other := r.begin(len(text))
	if _, err := r.AdmitContent(t.Context(), stranger, other.Upload.ID, d); !errors.Is(err, policy.ErrForbidden) {
		t.Errorf("another's session: %v, want ErrForbidden", err)
	}
	stranger.Tenant = "other"
	if _, err := r.AdmitContent(t.Context(), stranger, other.Upload.ID, d); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("another tenant's session: %v, want ErrNotFound", err)
	}
	r.advance(3 * time.Hour)
	if _, err := r.AdmitContent(t.Context(), admin, other.Upload.ID, d); !errors.Is(err, registry.ErrUploadExpired) {
		t.Errorf("expired: %v, want ErrUploadExpired", err)
	}
}

// Invariant 5: no error of a transfer names a key of the store.
func TestErrorsHideKeys(t *testing.T) {
	r := newRig(t)
	b := r.begin(len(text))
	r.blobs.Inject(blobtest.Fault{Op: blobtest.Put, When: blobtest.After, Nth: 1})
	err := r.put(b, text)
	for _, word := range []string{"staging", "accepted", r.dir} {
		if strings.Contains(err.Error(), word) {
			t.Errorf("%q contains %q", err, word)
		}
	}
}
