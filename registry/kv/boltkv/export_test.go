package boltkv

import (
	bolt "go.etcd.io/bbolt"

	"sallyport/registry/kv"
)

// FailLastFlush commits something and then treats the commit as if the flush of
// its meta page had failed with err: readers see it, the disk may not have it.
func (s *Store) FailLastFlush(err error) error {
	btx, berr := s.db.Begin(true)
	if berr != nil {
		return berr
	}
	id := btx.ID()
	if err := btx.Bucket([]byte(s.tables[0].name)).Put([]byte("unknown"), nil); err != nil {
		return err
	}
	if err := btx.Commit(); err != nil {
		return err
	}
	return s.afterFailure(id, err)
}

// Waiting returns how many updates no group has taken yet.
func (s *Store) Waiting() int { return s.queue.len() }

// LeafPages returns how many pages hold a table's rows.
func (s *Store) LeafPages(name kv.Table) (n int, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		n = tx.Bucket([]byte(name)).Stats().LeafPageN
		return nil
	})
	return n, err
}
