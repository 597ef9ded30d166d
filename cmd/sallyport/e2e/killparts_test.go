package e2e_test

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"

	"sallyport/sigv4"
)

// leastPart is how small a part can be that is not the last.
const leastPart = 5 << 20

// killMultiparts are S3 multipart uploads. The large parts of most are copied
// from one source, which moves no bytes.
type killMultiparts struct {
	*world
	source   *killKey
	all      []*killMultipart // mu protects it and the next
	nameless int              // creations whose answer was lost
	checked  int              // uploads before were settled
	lost     map[string]int   // steps whose answer was lost, by name
}

// killMultipart is one of them, and what was asked of it.
type killMultipart struct {
	key                *killKey
	id                 string
	parts              map[int]killPart
	coming             *killPart // asked for, with no answer yet
	number             int       // of coming
	completed, aborted step
	completion         completion // the one that was asked for
}

// killPart is a stored part. The ETag of one that was copied is the server's.
type killPart struct {
	data matter
	etag string
}

// completion lists parts.
type completion struct {
	body []byte
	etag string // of what they make
	data matter
}

func newKillMultiparts(w *world) *killMultiparts {
	k := &killMultiparts{world: w, source: w.key(loadBucket + "/source"), lost: map[string]int{}}
	m := matter{wholePiece(w.serial.Add(1), leastPart+1<<20)}
	w.s.mustObject("PUT", k.source.path, m.bytes())
	k.source.is(m)
	return k
}

// act takes an upload some way along its path.
func (k *killMultiparts) act(r *rand.Rand, worker int) error {
	u := &killMultipart{key: k.key(fmt.Sprintf("%s/worker %d/parts-%d", loadBucket, worker, r.IntN(keysEach))), parts: map[int]killPart{}}
	if err := k.create(u); err != nil {
		return err
	}
	small := 1 + r.IntN(100)
	numbers := []int{small}
	switch r.IntN(6) {
	case 0: // one replaces the other
		numbers = append(numbers, small)
	case 1, 2, 3: // with others before it, which may be left out
		numbers = append(numbers, small+1+r.IntN(100), small+200)
	}
	for _, n := range numbers {
		if err := k.part(r, u, n, n != numbers[len(numbers)-1]); err != nil {
			return err
		}
	}
	switch r.IntN(6) {
	case 0:
		return nil
	case 1:
		return k.abort(u)
	}
	if err := k.complete(u, k.choose(r, u)); err != nil {
		return err
	}
	switch r.IntN(3) {
	case 0:
		return k.repeat(u)
	case 1:
		return k.copyKey(k.key(fmt.Sprintf("%s/worker %d/whole-%d", loadBucket, worker, r.IntN(keysEach))), u.key)
	}
	return nil
}

func (k *killMultiparts) create(u *killMultipart) error {
	a, err := k.s.root.object("POST", u.key.path, "uploads=", nil, nil)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.nameless++
		return err
	}
	var made struct{ UploadId string }
	if xml.Unmarshal(a.Body, &made) != nil || made.UploadId == "" {
		return k.refuse("create a multipart upload", a)
	}
	u.id = made.UploadId
	k.all = append(k.all, u)
	return nil
}

// part stores a part: bytes, or a run of another object. A large one can stand
// before another.
func (k *killMultiparts) part(r *rand.Rand, u *killMultipart, number int, large bool) error {
	query := fmt.Sprintf("partNumber=%d&uploadId=%s", number, u.id)
	u.number = number
	if !large && r.IntN(2) == 0 || r.IntN(12) == 0 {
		m := k.fresh()
		if large {
			m = matter{wholePiece(m[0].seed, leastPart)}
		}
		u.coming = &killPart{m, m[0].etag()}
		a, err := k.s.root.object("PUT", u.key.path, query, m.bytes(), nil)
		if err != nil {
			return err
		}
		if a.Status != http.StatusOK || a.Header.Get("ETag") != `"`+u.coming.etag+`"` {
			return k.refuse("a part", a)
		}
		u.keep()
		return nil
	}
	from, size := k.source, 1+r.IntN(50_000)
	if large {
		size = leastPart + r.IntN(1000)
	} else if m := u.key.now(); m.len() > size { // what this key was until now
		from = u.key
	}
	at := r.IntN(from.now().len() - size + 1)
	u.coming = &killPart{data: from.now().run(at, at+size)}
	a, err := k.s.root.object("PUT", u.key.path, query, nil, http.Header{
		"X-Amz-Copy-Source":       {string(sigv4.AppendPath(nil, from.path))},
		"X-Amz-Copy-Source-Range": {fmt.Sprintf("bytes=%d-%d", at, at+size-1)},
	})
	if err != nil {
		return err
	}
	var made struct{ ETag string }
	if a.Status != http.StatusOK || xml.Unmarshal(a.Body, &made) != nil || made.ETag == "" {
		return k.refuse("a copied part", a)
	}
	u.coming.etag = strings.Trim(made.ETag, `"`)
	u.keep()
	return nil
}

// keep notes that what was asked for is stored.
func (u *killMultipart) keep() { u.parts[u.number], u.coming = *u.coming, nil }

func (k *killMultiparts) abort(u *killMultipart) error {
	u.aborted.asked = true
	a, err := k.s.root.object("DELETE", u.key.path, "uploadId="+u.id, nil, nil)
	if err != nil {
		return err
	}
	if a.Status != http.StatusNoContent {
		return k.refuse("abort", a)
	}
	u.aborted.acknowledged = true
	return nil
}

// choose lists some of the parts, as they may be listed: up to one of them, and
// of those before it the large ones.
func (k *killMultiparts) choose(r *rand.Rand, u *killMultipart) completion {
	numbers := slices.Sorted(maps.Keys(u.parts))
	last := numbers[max(r.IntN(len(numbers)), r.IntN(len(numbers)))]
	var c completion
	var sums []byte
	list := "<CompleteMultipartUpload>"
	n := 0
	for _, number := range numbers {
		p := u.parts[number]
		if number > last || number < last && p.data.len() < leastPart {
			continue
		}
		list += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>&quot;%s&quot;</ETag></Part>", number, p.etag)
		sum, _ := hex.DecodeString(p.etag) // the comparison shows it if it is none
		sums, c.data, n = append(sums, sum...), append(c.data, p.data...), n+1
	}
	whole := md5.Sum(sums)
	c.body, c.etag = []byte(list+"</CompleteMultipartUpload>"), fmt.Sprintf("%x-%d", whole, n)
	return c
}

func (k *killMultiparts) complete(u *killMultipart, c completion) error {
	u.completion, u.completed.asked = c, true
	return k.write(u.key, c.data, func() (answer, error) {
		a, err := k.finish(u)
		u.completed.acknowledged = err == nil && u.completion.answers(a)
		return a, err
	})
}

func (k *killMultiparts) finish(u *killMultipart) (answer, error) {
	return k.s.root.object("POST", u.key.path, "uploadId="+u.id, u.completion.body, nil)
}

// answers tells whether that is what a completion is answered with.
func (c *completion) answers(a answer) bool {
	var made struct{ ETag string }
	return a.Status == http.StatusOK && xml.Unmarshal(a.Body, &made) == nil && made.ETag == `"`+c.etag+`"`
}

// repeat asks again for a completion that succeeded.
func (k *killMultiparts) repeat(u *killMultipart) error {
	a, err := k.finish(u)
	if err == nil && !u.completion.answers(a) {
		return k.refuse("a repeated completion", a)
	}
	return err
}
