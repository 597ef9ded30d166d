package control_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/blob"
	"sallyport/registry/pipeline"
)

// beginParts begins a session in parts for so many bytes.
func (r *rig) beginParts(by who, size int64) session {
	r.tb.Helper()
	a := r.do(by, "POST", "/uploads", fmt.Sprintf(`{"filename":"note.txt","content_type":"text/plain","size":%d,"multipart":true}`, size)).want(201, "")
	return session{upload: a.text("upload_id"), object: a.text("object_id")}
}

// quiet is a body that is there already.
type quiet struct{ *bytes.Reader }

func (quiet) Interrupt() {}

// putPart stores a part with a fresh URL, as the S3 port does when that is used.
func (r *rig) putPart(by who, s session, number int, data []byte) registry.Stored {
	r.tb.Helper()
	a := r.do(by, "POST", fmt.Sprintf("/uploads/%s/parts/%d/url", s.upload, number), "").want(200, "")
	tenant := r.do(by, "GET", "/me", "").text("tenant")
	ctx := context.Background()
	t, err := r.moves.AdmitPut(ctx, pipeline.PutRequest{
		Tenant: registry.TenantName(tenant), Upload: registry.UploadID(s.upload), Part: number,
		Grant: registry.GrantID(a.text("url_id")), Declared: pipeline.Declared{Length: int64(len(data))},
	})
	must(r.tb, err)
	stored, err := r.moves.Receive(ctx, t, quiet{bytes.NewReader(data)})
	must(r.tb, err)
	return stored
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func registration(s registry.Stored) string {
	return fmt.Sprintf(`{"etag":"%s","size":%d,"sha256":"%s"}`, s.MD5, s.Size, s.SHA256)
}

func TestPartSizes(t *testing.T) {
	const mib = 1 << 20
	r := newRig(t, func(s *setup) { s.moves.Blobs = struct{ blob.Store }{s.moves.Blobs} }) // that does not know its room
	for _, c := range []struct{ size, part, count int64 }{
		{0, 8 * mib, 1},
		{1, 8 * mib, 1},
		{8 * mib, 8 * mib, 1},
		{8*mib + 1, 8 * mib, 2},
		{9000 * 8 * mib, 8 * mib, 9000},
		{9000*8*mib + 1, 9 * mib, 8001},
		{5 << 40, 583 * mib, 8993},
	} {
		a := r.do(r.root, "POST", "/uploads", fmt.Sprintf(`{"filename":"a","content_type":"text/plain","size":%d,"multipart":true}`, c.size)).want(201, "")
		var got struct {
			Part  int64 `json:"part_size"`
			Count int64 `json:"part_count"`
		}
		a.into(&got)
		if got.Part != c.part || got.Count != c.count {
			t.Errorf("%d bytes: %d parts of %d, want %d of %d", c.size, got.Count, got.Part, c.count, c.part)
		}
		if strings.Contains(string(a.body), "url") {
			t.Errorf("%d bytes: a URL in %s", c.size, a.body)
		}
	}
}

func TestProfileBoundsAWhole(t *testing.T) {
	r := newRig(t)
	r.do(r.root, "PUT", "/profiles/small", `{"max_size":100}`).want(200, "")
	body := `{"filename":"a","content_type":"text/plain","size":%d,"multipart":true,"profile":"small"}`
	r.do(r.root, "POST", "/uploads", fmt.Sprintf(body, 101)).want(400, "SIZE_NOT_ALLOWED")
	r.do(r.root, "POST", "/uploads", fmt.Sprintf(body, 100)).want(201, "")
	r.do(r.root, "PUT", "/profiles/large", `{"max_size":6000000000}`).want(200, "")
	body = strings.Replace(body, "small", "large", 1)
	r.do(r.root, "POST", "/uploads", fmt.Sprintf(body, 6000000001)).want(400, "SIZE_NOT_ALLOWED")
	r.do(r.root, "POST", "/uploads", fmt.Sprintf(body, 6000000000)).want(201, "")
	r.do(r.root, "POST", "/uploads", strings.Replace(fmt.Sprintf(body, 6000000000), "true", "false", 1)).want(400, "SIZE_NOT_ALLOWED")
}

// TestASessionInParts from its beginning to its object.
func TestASessionInParts(t *testing.T) {
	r := newRig(t)
	boss := r.tenant("acme")
	data := bytes.Repeat([]byte("0123456789abcde\n"), 9<<20/16)
	first, second := data[:8<<20], data[8<<20:]
	s := r.beginParts(boss, int64(len(data)))
	up := "/uploads/" + s.upload

	r.do(boss, "POST", up+"/finalize", "").want(409, "UPLOAD_NOT_RECEIVED")
	r.do(boss, "PUT", up+"/parts/1", `{"etag":"x","size":8388608}`).want(409, "UPLOAD_NOT_RECEIVED")
	one := r.putPart(boss, s, 1, first)
	var row struct {
		State    string  `json:"state"`
		Received int64   `json:"received"`
		Part     int64   `json:"part_size"`
		Count    int     `json:"part_count"`
		SHA256   *string `json:"sha256"`
	}
	r.do(boss, "GET", up, "").want(200, "").into(&row)
	if row.State != "uploading" || row.Received != 8<<20 || row.Part != 8<<20 || row.Count != 2 || row.SHA256 != nil {
		t.Errorf("session %+v", row)
	}
	r.do(boss, "POST", up+"/finalize", "").want(409, "UPLOAD_NOT_RECEIVED")
	for range 2 {
		r.do(boss, "PUT", up+"/parts/1", strings.Replace(registration(one), one.MD5, `\"`+one.MD5+`\"`, 1)).want(200, "")
	}
	r.do(boss, "PUT", up+"/parts/1", fmt.Sprintf(`{"etag":"%s","size":5}`, one.MD5)).want(409, "PART_CONFLICT")
	r.do(boss, "POST", up+"/parts/1/url", "").want(409, "UPLOAD_ALREADY_RECEIVED")
	r.putPart(boss, s, 2, second)
	r.putPart(boss, s, 2, second) // replaced

	var list struct {
		Parts []struct {
			Number     int    `json:"part_number"`
			Size       int64  `json:"size"`
			ETag       string `json:"etag"`
			Registered bool   `json:"registered"`
		} `json:"parts"`
		Next string `json:"next_cursor"`
	}
	r.do(boss, "GET", up+"/parts?limit=1", "").want(200, "").into(&list)
	if len(list.Parts) != 1 || list.Parts[0].ETag != one.MD5 || !list.Parts[0].Registered || list.Next == "" {
		t.Errorf("first page %+v", list)
	}
	next := list.Next
	list.Next, list.Parts = "", nil
	r.do(boss, "GET", up+"/parts?limit=1&cursor="+next, "").want(200, "").into(&list)
	if len(list.Parts) != 1 || list.Parts[0].Number != 2 || list.Parts[0].Registered || list.Next != "" {
		t.Errorf("second page %+v", list)
	}
	r.do(boss, "GET", up+"/parts?cursor=x", "").want(400, "INVALID_REQUEST")

	for range 2 {
		r.do(boss, "POST", up+"/finalize", "").want(200, "")
	}
	r.inspect()
	var object struct {
		State  string `json:"state"`
		SHA256 string `json:"sha256"`
		ETag   string `json:"etag"`
	}
	r.do(boss, "GET", "/objects/"+s.object, "").want(200, "").into(&object)
	if object.State != "published" || object.SHA256 != hexSHA256(data) || !strings.HasSuffix(object.ETag, "-2") {
		t.Errorf("object %+v", object)
	}
	if got := r.do(boss, "GET", "/objects/"+s.object+"/content", "").want(200, ""); !bytes.Equal(got.body, data) {
		t.Error("the content is another")
	}
	r.do(boss, "PUT", up+"/parts/1", registration(one)).want(409, "UPLOAD_FINALIZED")
	r.do(boss, "POST", up+"/parts/1/url", "").want(409, "UPLOAD_FINALIZED")
	r.do(boss, "DELETE", up, "").want(409, "UPLOAD_FINALIZED")
}

// TestTheDigestOfAWholeIsVerified by inspection, whenever it was told.
func TestTheDigestOfAWholeIsVerified(t *testing.T) {
	r := newRig(t)
	wrong := hexSHA256([]byte("y"))
	for _, c := range []struct{ name, begin, finalize string }{
		{"declared", fmt.Sprintf(`,"sha256":"%s"`, wrong), ""},
		{"at finalize", "", fmt.Sprintf(`{"sha256":"%s"}`, wrong)},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := r.do(r.root, "POST", "/uploads", `{"filename":"a","content_type":"text/plain","size":1,"multipart":true`+c.begin+`}`).want(201, "")
			s := session{upload: a.text("upload_id"), object: a.text("object_id")}
			r.putPart(r.root, s, 1, []byte("x"))
			r.do(r.root, "POST", "/uploads/"+s.upload+"/finalize", c.finalize).want(200, "")
			r.inspect()
			var object struct {
				State   string
				Verdict struct{ Result, Reason string }
			}
			r.do(r.root, "GET", "/objects/"+s.object, "").want(200, "").into(&object)
			if object.State != "rejected" || object.Verdict.Result != "refused" || object.Verdict.Reason != "checksum_mismatch" {
				t.Errorf("object %+v", object)
			}
			r.do(r.root, "POST", "/uploads/"+s.upload+"/finalize", fmt.Sprintf(`{"sha256":"%s"}`, wrong)).want(409, "CHECKSUM_MISMATCH")
		})
	}
}

func TestPartURLs(t *testing.T) {
	r := newRig(t)
	s := r.beginParts(r.root, 10)
	at := "/uploads/" + s.upload + "/parts/1/url"
	for _, c := range []struct {
		body string
		life time.Duration
	}{{"", 15 * time.Minute}, {`{"ttl":"15m"}`, 15 * time.Minute}, {`{"ttl":"30s"}`, 30 * time.Second}} {
		var got struct {
			Number  int               `json:"part_number"`
			Size    int64             `json:"size"`
			Method  string            `json:"method"`
			URL     string            `json:"url"`
			Headers map[string]string `json:"headers"`
			Expires time.Time         `json:"url_expires_at"`
		}
		r.do(r.root, "POST", at, c.body).want(200, "").into(&got)
		u, err := url.Parse(got.URL)
		must(t, err)
		if got.Number != 1 || got.Size != 10 || got.Method != "PUT" || got.Headers["Content-Type"] != "text/plain" ||
			u.Path != "/_/uploads/"+s.upload || u.Query().Get("partNumber") != "1" {
			t.Errorf("got %+v", got)
		}
		if !strings.HasPrefix(got.URL[strings.LastIndexByte(got.URL, '&')+1:], "X-Amz-Signature=") {
			t.Error("the signature is not the last parameter")
		}
		if life := got.Expires.Sub(r.now()); life > c.life || life < c.life-patience {
			t.Errorf("%s lives %s", c.body, life)
		}
	}
	whole := r.begin(r.root, "x")
	for _, c := range []struct{ path, body, code string }{
		{at, `{"ttl":"15m1s"}`, "INVALID_TTL"},
		{strings.Replace(at, "/1/", "/0/", 1), "", "INVALID_REQUEST"},
		{strings.Replace(at, "/1/", "/2/", 1), "", "INVALID_REQUEST"},
		{strings.Replace(at, "/1/", "/01/", 1), "", "INVALID_REQUEST"},
		{strings.Replace(at, "/1/", "/x/", 1), "", "INVALID_REQUEST"},
		{strings.Replace(at, "/1/", "/-1/", 1), "", "INVALID_REQUEST"},
		{strings.Replace(at, s.upload, whole.upload, 1), "", "INVALID_REQUEST"},
		{"/uploads/" + s.upload + "/url", "", "INVALID_REQUEST"},
	} {
		r.do(r.root, "POST", c.path, c.body).want(400, c.code)
	}
	r.do(r.root, "PUT", "/uploads/"+s.upload+"/content", "0123456789").want(400, "INVALID_REQUEST")
	r.do(r.root, "GET", "/uploads/"+whole.upload+"/parts", "").want(400, "INVALID_REQUEST")
	r.do(r.root, "DELETE", "/uploads/"+s.upload, "").want(204, "")
	r.do(r.root, "POST", at, "").want(409, "UPLOAD_ABORTED")
	r.do(r.root, "PUT", "/uploads/"+s.upload+"/parts/1", `{"etag":"x","size":1}`).want(409, "UPLOAD_ABORTED")
	for _, body := range []string{`{}`, `{"etag":"x"}`, `{"size":1}`, `{"etag":"x","size":1,"sha256":"1"}`, `{"etag":"x","size":1,"part":1}`, ``} {
		r.do(r.root, "PUT", "/uploads/"+s.upload+"/parts/1", body).want(400, "INVALID_REQUEST")
	}
}

// TestAPartedSessionIsRepeatable with its Idempotency-Key.
func TestAPartedSessionIsRepeatable(t *testing.T) {
	r := newRig(t)
	ask := request{method: "POST", path: "/uploads", body: []byte(`{"filename":"a","content_type":"text/plain","size":1,"multipart":true}`),
		header: map[string]string{"Idempotency-Key": "once", "Content-Type": "application/json"}}
	first, again := r.send(r.root, ask), r.send(r.root, ask)
	if first.want(201, "").text("upload_id") != again.want(201, "").text("upload_id") || !json.Valid(again.body) {
		t.Errorf("%s and %s", first.body, again.body)
	}
}
