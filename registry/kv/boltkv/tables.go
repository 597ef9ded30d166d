package boltkv

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// quietBucket holds the buckets of the quiet tables; those of the others lie in
// the root. bbolt keeps a bucket of less than a quarter of a page inside its
// parent's page, and every commit writes the root's pages: with the rows of
// tenants and credentials among them they were four or five.
const quietBucket = "(quiet)"

// bucket returns the table's bucket, nil for a table that the file lacks.
func (t *table) bucket(btx *bolt.Tx) *bolt.Bucket {
	if !t.quiet {
		return btx.Bucket([]byte(t.name))
	}
	quiet := btx.Bucket([]byte(quietBucket))
	if quiet == nil {
		return nil
	}
	return quiet.Bucket([]byte(t.name))
}

// createTables makes the tables that are missing and puts each where it belongs.
func (s *Store) createTables(btx *bolt.Tx) error {
	if _, err := btx.CreateBucketIfNotExists([]byte(quietBucket)); err != nil {
		return fmt.Errorf("create tables: %w", err)
	}
	for i := range s.tables {
		if err := s.tables[i].create(btx); err != nil {
			return fmt.Errorf("create table %s: %w", s.tables[i].name, err)
		}
	}
	return nil
}

func (t *table) create(btx *bolt.Tx) error {
	if t.bucket(btx) != nil {
		return nil
	}
	root, quiet := btx.Cursor().Bucket(), btx.Bucket([]byte(quietBucket))
	from, to := quiet, root
	if t.quiet {
		from, to = root, quiet
	}
	if from.Bucket([]byte(t.name)) != nil {
		return btx.MoveBucket([]byte(t.name), from, to)
	}
	_, err := to.CreateBucket([]byte(t.name))
	return err
}
