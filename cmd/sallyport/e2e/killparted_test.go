package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
)

// killParted are sessions in parts.
type killParted struct {
	*world
	all     []*partedSession // mu protects it
	checked int              // those before were settled
	lost    int              // parts whose answer was lost
}

// partedSession is one of them, and what was asked of it.
type partedSession struct {
	UploadID  string `json:"upload_id"`
	ObjectID  string `json:"object_id"`
	PartSize  int    `json:"part_size"`
	PartCount int    `json:"part_count"`

	size                        int
	parts                       []*partedPart // number 1 is the first
	finalized, deleted, aborted step
	received                    int // parts, those replaced too
}

// partedPart is a part and the latest URL that was issued for it.
type partedPart struct {
	number, size     int
	stored           *piece
	coming           *piece // asked for, with no answer yet
	url              partURL
	used, registered step
}

// partURL is where a part is put to.
type partURL struct {
	URL     string            `json:"url"`
	URLID   string            `json:"url_id"`
	Headers map[string]string `json:"headers"`
}

func newKillParted(w *world) *killParted { return &killParted{world: w} }

// act takes a file in parts some way along its path. Most have one part: a part
// that is not the last has 8 MiB.
func (k *killParted) act(r *rand.Rand, _ int) error {
	u := &partedSession{size: 1 + r.IntN(100_000)}
	if r.IntN(12) == 0 {
		u.size += 8 << 20
	}
	a, err := k.s.root.call("POST", "/uploads", map[string]any{
		"filename": "parts.bin", "content_type": octets, "size": u.size, "multipart": true,
	})
	if err != nil {
		return err
	}
	if a.Status != http.StatusCreated {
		return k.refuse("a session in parts", a)
	}
	if err := json.Unmarshal(a.Body, u); err != nil {
		return err
	}
	for n := 1; n <= u.PartCount; n++ {
		u.parts = append(u.parts, &partedPart{number: n, size: min(u.PartSize, u.size-(n-1)*u.PartSize)})
	}
	k.mu.Lock()
	k.all = append(k.all, u)
	k.mu.Unlock()
	end := r.IntN(8)
	for _, i := range r.Perm(len(u.parts)) {
		if err := k.part(r, u, u.parts[i]); err != nil {
			return err
		}
		if end == 0 {
			return nil
		}
	}
	switch end {
	case 1:
		return nil
	case 2:
		return k.ask(&u.aborted, "DELETE", "/uploads/"+u.UploadID, http.StatusNoContent)
	}
	if err := k.ask(&u.finalized, "POST", "/uploads/"+u.UploadID+"/finalize", http.StatusOK); err != nil || end > 3 {
		return err
	}
	return k.ask(&u.deleted, "DELETE", "/objects/"+u.ObjectID, http.StatusNoContent)
}

// part stores a part, perhaps twice, and perhaps registers it.
func (k *killParted) part(r *rand.Rand, u *partedSession, p *partedPart) error {
	for range 1 + r.IntN(5)/4 {
		if err := k.put(u, p); err != nil {
			return err
		}
	}
	if r.IntN(3) > 0 {
		return nil
	}
	p.registered.asked = true
	a, err := k.s.root.call("PUT", u.path(p), map[string]any{"etag": p.stored.etag(), "size": p.size})
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return k.refuse("a registration", a)
	}
	p.registered.acknowledged = true
	return nil
}

// put stores a part by a URL of its own.
func (k *killParted) put(u *partedSession, p *partedPart) error {
	if err := k.issue(u, p); err != nil {
		return err
	}
	fresh := wholePiece(k.serial.Add(1), p.size)
	p.coming, p.used = &fresh, step{asked: true}
	a, err := k.send(p, fresh)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return k.refuse("a part", a)
	}
	p.keep(u)
	return nil
}

// keep notes that what was asked for is stored.
func (p *partedPart) keep(u *partedSession) {
	p.stored, p.coming, p.used.acknowledged = p.coming, nil, true
	u.received++
}

func (u *partedSession) path(p *partedPart) string {
	return fmt.Sprintf("/uploads/%s/parts/%d", u.UploadID, p.number)
}

func (k *killParted) issue(u *partedSession, p *partedPart) error {
	a, err := k.s.root.call("POST", u.path(p)+"/url", map[string]any{})
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return k.refuse("a part's URL", a)
	}
	p.url, p.used = partURL{}, step{}
	if err := json.Unmarshal(a.Body, &p.url); err != nil {
		return err
	}
	k.s.seen.signature(p.url.URL)
	return nil
}

func (k *killParted) send(p *partedPart, data piece) (answer, error) {
	return k.s.putPart(p.url, data.bytes())
}

// putPart puts bytes to a part's URL.
func (s *Server) putPart(to partURL, body []byte) (answer, error) {
	req, err := http.NewRequest(http.MethodPut, to.URL, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, value := range to.Headers {
		req.Header.Set(name, value)
	}
	return s.do(req)
}
