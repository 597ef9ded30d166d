package boltkv

const (
	chunkSize  = 64 << 10
	keepChunks = 32 // 2 MiB stay allocated between groups
)

// arena copies byte slices into a few large pieces of memory that all become
// free at once.
type arena struct {
	chunks [][]byte // each of chunkSize
	used   int      // chunks in use
	free   []byte   // rest of the last chunk in use
}

// copy returns a copy of b, never nil, that is valid until reset.
func (a *arena) copy(b []byte) []byte {
	n := len(b)
	if n > chunkSize/4 {
		return append(make([]byte, 0, n), b...)
	}
	if n > len(a.free) || a.free == nil {
		if a.used == len(a.chunks) {
			a.chunks = append(a.chunks, make([]byte, chunkSize))
		}
		a.free = a.chunks[a.used]
		a.used++
	}
	c := a.free[:n:n]
	a.free = a.free[n:]
	copy(c, b)
	return c
}

func (a *arena) reset() {
	if len(a.chunks) > keepChunks {
		clear(a.chunks[keepChunks:])
		a.chunks = a.chunks[:keepChunks]
	}
	a.used, a.free = 0, nil
}
