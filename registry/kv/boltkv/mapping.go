package boltkv

import (
	"errors"

	bolt "go.etcd.io/bbolt"
)

// bbolt maps a file that has outgrown its mapping anew, which waits for every read
// transaction: with the base pinned by one it would wait for ever. So it is told
// not to (DB.MaxSize fails the commit instead), a commit that could come near is
// foreseen, and runs while nothing is pinned.

// minMapping keeps mappings above bbolt's step of allocation, below which the limit
// is not exact.
const minMapping = 32 << 20

// mappingSize is bbolt's rule (DB.mmapSize): powers of two up to 1 GiB, then whole
// GiB.
func mappingSize(size int64) int64 {
	for m := int64(minMapping); m <= 1<<30; m <<= 1 {
		if size <= m {
			return m
		}
	}
	return (size + 1<<30 - 1) >> 30 << 30
}

// limitFile has bbolt fail rather than map the file anew. used is what of the file
// has been used: the mapping is at least what that takes, with the page that bbolt
// keeps free behind it.
func (s *Store) limitFile(used int64) {
	s.mapped = max(s.mapped, mappingSize(used+int64(s.db.Info().PageSize)))
	// bbolt compares the size it needs plus AllocSize, and needs a new mapping
	// from the size of the old one on.
	s.db.MaxSize = int(s.mapped) + s.db.AllocSize - 1
}

// mayOutgrow reports whether the commit of the overlay on btx might. Each write
// changes a page on each level of its table, which may split, or join and split.
func (s *Store) mayOutgrow(btx *bolt.Tx, o *overlay) bool {
	const pagesPerWrite = 32
	growth := 4*o.size() + int64(o.writes+1)*pagesPerWrite*int64(s.db.Info().PageSize)
	return btx.Size()+growth >= s.mapped
}

// writeUnpinned commits the group while the base is not pinned. The base is the
// state right before it, and the next base the state right after it, so that the one
// commit between them, which writes over no page of the state it begins with, needs
// no pin.
func (s *Store) writeUnpinned(c *committer) error {
	if err := s.checkpoint(s.checkpoints.every); err != nil {
		return err
	}
	if err := s.unpinBase(); err != nil {
		return err
	}
	err := s.writeLogged(c)
	if s.broken.Load() != nil {
		return err
	}
	return errors.Join(err, s.checkpoint(s.checkpoints.every))
}

// unpinBase lets bbolt map the file anew.
func (s *Store) unpinBase() error {
	k := &s.checkpoints
	pin := k.pin
	k.pin = nil
	s.db.MaxSize = 0
	return s.unpin(pin)
}
