package e2e_test

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// piece is a run of the bytes that one put brought. No two puts have the same
// seed, so that it also stands for their blob.
type piece struct {
	seed     uint64
	size     int // of all that belongs to the seed
	from, to int
}

func wholePiece(seed uint64, size int) piece { return piece{seed: seed, size: size, to: size} }

func (p piece) len() int { return p.to - p.from }

// pieceBlock is how much noise there is of a seed: it is dear, and pieces are large.
const pieceBlock = 65_521

// bytes are blocks of noise, the same but for their number.
func (p piece) bytes() []byte {
	block := noise(p.seed, min(p.size, pieceBlock))
	all := make([]byte, 0, p.len())
	for at := p.from; at < p.to; {
		if i := at / pieceBlock; i > 0 {
			binary.BigEndian.PutUint64(block[1:], uint64(i))
		}
		within := at % pieceBlock
		n := min(pieceBlock-within, p.to-at)
		all = append(all, block[within:within+n]...)
		at += n
	}
	return all
}

// etag is what a put of the piece is answered with, without quotes.
func (p piece) etag() string { return md5Of(p.bytes()) }

func md5Of(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

// matter is what an object is made of. That of an empty one is an empty piece;
// none at all is no object.
type matter []piece

func (m matter) bytes() []byte {
	var all []byte
	for _, p := range m {
		all = append(all, p.bytes()...)
	}
	return all
}

func (m matter) len() int {
	n := 0
	for _, p := range m {
		n += p.len()
	}
	return n
}

// run is a part of it, which must not be empty.
func (m matter) run(from, to int) matter {
	var cut matter
	for _, p := range m {
		a, b := max(from, 0), min(to, p.len())
		if a < b {
			cut = append(cut, piece{p.seed, p.size, p.from + a, p.from + b})
		}
		from, to = from-p.len(), to-p.len()
	}
	return cut
}

// fresh is what nobody has put yet.
func (w *world) fresh() matter {
	seed := w.serial.Add(1)
	return matter{wholePiece(seed, sizeOf(seed))}
}

// unlike is fresh matter that is long enough to be told from all other by its bytes.
func (w *world) unlike() matter {
	for {
		if m := w.fresh(); len(m.bytes()) > 8 {
			return m
		}
	}
}

// sizeOf is how many bytes belong to a seed: most are few, some take a while.
func sizeOf(seed uint64) int {
	switch seed % 16 {
	case 0:
		return 0
	case 1:
		return 1
	case 2, 3:
		return 1<<20 + int(seed%1000)
	}
	return int(seed * 7919 % 60_000)
}

// killKey is an S3 key. Only one worker writes it.
type killKey struct {
	path string
	// may are the contents it can have now: the last acknowledged one, and those
	// asked for since.
	may []matter
	// read: what it is was compared since it was written. The bytes of all keys
	// are too many to read after each crash.
	read bool
}

// key returns what is known of a key.
func (w *world) key(path string) *killKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.keys[path]
	if k == nil {
		k = &killKey{path: path, may: []matter{nil}}
		w.keys[path] = k
	}
	return k
}

// is notes what the key has become for sure.
func (k *killKey) is(m matter) { k.may, k.read = []matter{m}, false }

// now is what it is, where that is known.
func (k *killKey) now() matter { return k.may[0] }

func same(a, b matter) bool { return slices.Equal(a, b) }
