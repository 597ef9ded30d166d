package e2e_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mediaHost is where these servers show renditions.
const mediaHost = "media.test"

const place = "48.2082N 16.3738E" // what a picture must not tell

// photo is a JPEG of these dimensions whose Exif says that it lies on its side, and where
// it was taken.
func photo(t testing.TB, w, h int) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = byte(i / 64)
	}
	m.Set(0, 0, color.White)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, nil); err != nil {
		t.Fatal(err)
	}
	exif := append([]byte("Exif\x00\x00II*\x00"), 8, 0, 0, 0, 1, 0, 0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0)
	exif = append(exif, place...)
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, 0xe1}, uint16(len(exif)+2))
	return append(append(segment, exif...), out.Bytes()[2:]...)
}

// rendition is one in a list.
type rendition struct {
	Name          string
	Width, Height int
	Size          int64
}

func (c *Client) renditions(object string) (list []rendition) {
	c.server.t.Helper()
	var out struct{ Renditions []rendition }
	c.must("GET", "/objects/"+object+"/renditions", nil, &out)
	return out.Renditions
}

// picture uploads one under the profile "pictures" and waits for its verdict.
func (c *Client) picture(content []byte) (string, scanned) {
	c.server.t.Helper()
	u := c.beginAs(newUpload{Filename: "holiday.jpeg", ContentType: "image/jpeg", Size: int64(len(content)), Profile: "pictures"})
	u.mustPut(content)
	c.must("POST", "/uploads/"+u.UploadID+"/finalize", map[string]any{}, nil)
	return u.ObjectID, c.judged(u.ObjectID)
}

// shown fetches a URL of the host for renditions from the S3 port.
func (s *Server) shown(host, target string) answer {
	s.t.Helper()
	_, path, _ := strings.Cut(target, mediaHost)
	req, err := http.NewRequest("GET", s.S3+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = host
	a, err := s.do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

var pictures = map[string]any{"allowed_types": []string{"image/*"}, "scan": map[string]any{"image": map[string]any{"inline": true, "thumbnails": []int{64}}}}

func servePictures(t *testing.T) *Server {
	t.Helper()
	s := serve(t, disk{}, "DOWNLOADS_INLINE_URL=http://"+mediaHost)
	s.root.must("PUT", "/profiles/pictures", pictures, nil)
	return s
}

// TestPictures takes a picture through a server to a browser's page.
func TestPictures(t *testing.T) {
	s := servePictures(t)
	original := photo(t, 300, 200)
	id, o := s.root.picture(original)
	if o.State != "published" || !o.heard("image") {
		t.Fatalf("the object is %s", o)
	}
	list := s.root.renditions(id)
	if len(list) != 2 || list[0].Name != "clean" || list[0].Width != 200 || list[0].Height != 300 || list[1].Name != "thumb-64" || list[1].Height != 64 {
		t.Fatalf("renditions are %+v", list)
	}
	s.holds(3)

	var url struct {
		GetURL string `json:"get_url"`
		URLID  string `json:"url_id"`
	}
	issue := "/objects/" + id + "/download-url?rendition=clean&disposition=inline"
	s.root.must("GET", issue, nil, &url)
	s.seen.signature(url.GetURL)
	if !strings.HasPrefix(url.GetURL, "http://"+mediaHost+"/_/objects/"+id) {
		t.Errorf("the URL is of another host")
	}
	a := s.shown(mediaHost, url.GetURL)
	m, format, err := image.Decode(bytes.NewReader(a.Body))
	if a.Status != 200 || err != nil || format != "jpeg" || m.Bounds().Size() != image.Pt(200, 300) ||
		a.Header.Get("Content-Type") != "image/jpeg" || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "inline;") {
		t.Fatalf("shown is %s, %v: %v", a, err, a.Header)
	}
	if bytes.Contains(a.Body, []byte(place)) || bytes.Contains(a.Body, []byte("Exif")) {
		t.Error("it tells where it was taken")
	}
	if r, g, b, _ := m.At(199, 0).RGBA(); r < 0x8000 || g < 0x8000 || b < 0x8000 {
		t.Error("its first point is not in the upper right corner")
	}
	if a := s.shown(address(s.S3), url.GetURL); !a.is(403, "SignatureDoesNotMatch") {
		t.Errorf("on the port's own host: %s", a)
	}
	s.root.refused(400, "INVALID_REQUEST", "GET", "/objects/"+id+"/download-url?disposition=inline", nil)
	got := s.mustGet(s.root.downloadURL(id).GetURL, original)
	if !strings.HasPrefix(got.Header.Get("Content-Disposition"), "attachment;") {
		t.Errorf("the object is %s", got.Header.Get("Content-Disposition"))
	}
	s.root.must("DELETE", "/urls/"+url.URLID, nil, nil)
	if a := s.shown(mediaHost, url.GetURL); !a.is(403, "AccessDenied") {
		t.Errorf("revoked: %s", a)
	}

	if out, ok := s.cli("objects", "renditions", id); !ok || !strings.Contains(out, "thumb-64") || !strings.Contains(out, "200×300") {
		t.Errorf("the command says %s", out)
	}
	saved := filepath.Join(t.TempDir(), "small.jpg")
	if out, ok := s.cli("download", id, "--rendition", "thumb-64", "-o", saved); !ok {
		t.Errorf("download: %s", out)
	} else if info, err := os.Stat(saved); err != nil || info.Size() != list[1].Size {
		t.Errorf("downloaded is %v, %v", info, err)
	}
	if out, ok := s.cli("download", id, "--rendition", "large", "-o", saved); ok || !strings.Contains(out, "clean, thumb-64") {
		t.Errorf("download of what is not there: %s", out)
	}

	// What is no whole picture is not published.
	if _, o := s.root.picture(original[:len(original)/2]); o.State != "rejected" || o.Verdict.Reason != "image_malformed" {
		t.Errorf("half a picture is %s", o)
	}
	// A bucket that publishes at once has them with the write.
	s.root.must("PUT", "/profiles/direct", map[string]any{"intake": "direct", "scan": pictures["scan"]}, nil)
	if a, err := s.root.object("PUT", "/direct/a.jpg", "", original, http.Header{"Content-Type": {"image/jpeg"}}); err != nil || a.Status != 200 {
		t.Fatalf("PUT: %s, %v", a, err)
	}
	var objects struct {
		Objects []struct {
			ID string `json:"object_id"`
		}
	}
	s.root.must("GET", "/objects?profile=direct", nil, &objects)
	if len(objects.Objects) != 1 || len(s.root.renditions(objects.Objects[0].ID)) != 2 {
		t.Errorf("the bucket has %+v", objects)
	}
	if a, err := s.root.object("PUT", "/direct/b.jpg", "", original[:1000], http.Header{"Content-Type": {"image/jpeg"}}); err != nil || a.Status != 400 {
		t.Errorf("PUT of half a picture: %s, %v", a, err)
	}
	s.holds(3 + 1 + 3) // the rejected one is kept for review
	s.root.must("DELETE", "/objects/"+id, nil, nil)
	s.swept()
	s.holds(1 + 3)
	s.Stop()
	s.mustFsck()
}

// TestKillWhilePicturesAreMade: the server dies while its engines work, is started again
// and again, and ends with each picture published, with its renditions and nothing else.
func TestKillWhilePicturesAreMade(t *testing.T) {
	const n = 6
	s := servePictures(t)
	var ids []string
	for i := range n {
		content := photo(t, 1600, 1200+i)
		u := s.root.beginAs(newUpload{Filename: fmt.Sprintf("%d.jpeg", i), ContentType: "image/jpeg", Size: int64(len(content)), Profile: "pictures"})
		u.mustPut(content)
		s.root.must("POST", "/uploads/"+u.UploadID+"/finalize", map[string]any{}, nil)
		ids = append(ids, u.ObjectID)
	}
	for i := range 3 { // one less than would hold an object for crashing too often
		time.Sleep(time.Duration(30+60*i) * time.Millisecond) // somewhere in the middle
		s.Kill()
		s.Start()
	}
	for _, id := range ids {
		if o := s.root.judged(id); o.State != "published" {
			t.Errorf("%s is %s", id, o)
		}
		if list := s.root.renditions(id); len(list) != 2 {
			t.Errorf("%s has the renditions %+v", id, list)
		}
		a, err := s.root.call("GET", "/objects/"+id+"/renditions/thumb-64/content", nil)
		if err != nil || a.Status != 200 || json.Valid(a.Body) {
			t.Errorf("the thumbnail of %s: %s, %v", id, a, err)
		}
	}
	s.swept()
	s.holds(3 * n)
	s.Stop()
	s.mustFsck()
}
