package kvtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"sallyport/registry/kv"
)

// add adds n to the counter at key in Rows and returns its new value.
func add(tx kv.Tx, key []byte, n uint64) (uint64, error) {
	v, err := tx.Get(Rows, key)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return 0, err
	}
	if len(v) == 8 {
		n += binary.BigEndian.Uint64(v)
	}
	return n, tx.Put(Rows, key, binary.BigEndian.AppendUint64(nil, n))
}

func count(t testing.TB, tx kv.Reader, key []byte) uint64 {
	t.Helper()
	v, err := tx.Get(Rows, key)
	if err != nil || len(v) != 8 {
		t.Errorf("counter %q = %x, %v", key, v, err)
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

func testValues(t *testing.T, open Open) {
	s := start(t, open)
	rows := map[string][]byte{
		"\x00":         []byte("zero"),
		"\x00\x00":     {0},
		"a":            {},
		"a\x00":        []byte("after a"),
		"a\xff":        []byte("late a"),
		"\xff":         []byte("ff"),
		"\xff\xff":     {0xff, 0, 0xff},
		"page":         bytes.Repeat([]byte("p"), 4096),
		"big":          bytes.Repeat([]byte("0123456789abcdef"), 1<<16), // 1 MiB
		"\xc3\xa9/\\ ": []byte("bytes, not text"),
	}
	check := func(tx kv.Tx) error {
		for k, want := range rows {
			got, err := tx.Get(Rows, []byte(k))
			if err != nil || !bytes.Equal(got, want) || got == nil {
				t.Errorf("get %q = %d bytes (nil %t), %v, want %d bytes", k, len(got), got == nil, err, len(want))
			}
		}
		n := 0
		err := tx.Scan(Rows, kv.Range{}, func(k, v []byte) error {
			n++
			if want, ok := rows[string(k)]; !ok || v == nil || !bytes.Equal(v, want) {
				t.Errorf("scan of %q gave %d bytes (nil %t), want %d", k, len(v), v == nil, len(want))
			}
			return nil
		})
		if n != len(rows) {
			t.Errorf("scan saw %d rows, want %d", n, len(rows))
		}
		return err
	}
	update(t, s, func(tx kv.Tx) error {
		for k, v := range rows {
			if len(v) == 0 {
				v = nil // is stored as empty
			}
			if err := tx.Put(Rows, []byte(k), v); err != nil {
				return err
			}
		}
		return check(tx)
	})
	view(t, s, check)
	update(t, s, func(tx kv.Tx) error { return tx.Delete(Rows, []byte("never there")) })
	view(t, s, check)
}

func testCopiesArguments(t *testing.T, open Open) {
	s := start(t, open)
	update(t, s, func(tx kv.Tx) error {
		key, value := make([]byte, 1), make([]byte, 1)
		for _, c := range "abc" {
			key[0], value[0] = byte(c), byte(c)-32
			if err := tx.Put(Rows, key, value); err != nil {
				return err
			}
		}
		key[0], value[0] = 'x', 'x'
		wantValue(t, tx, "a", "A")
		return nil
	})
	view(t, s, func(tx kv.Tx) error {
		wantKeys(t, tx, kv.Range{}, "a b c")
		wantValue(t, tx, "c", "C")
		return nil
	})
}

func testReadsOwnWrites(t *testing.T, open Open) {
	s := start(t, open)
	set(t, s, "a", "1", "b", "2", "c", "3")
	update(t, s, func(tx kv.Tx) error {
		for _, step := range []struct {
			write func() error
			want  string
		}{
			{func() error { return tx.Delete(Rows, []byte("b")) }, "a c"},
			{func() error { return tx.Put(Rows, []byte("bb"), nil) }, "a bb c"},
			{func() error { return tx.Put(Rows, []byte("d"), nil) }, "a bb c d"},
			{func() error { return tx.Delete(Rows, []byte("bb")) }, "a c d"},
			{func() error { return tx.Put(Rows, []byte("b"), []byte("again")) }, "a b c d"},
			{func() error { return tx.Delete(Rows, []byte("a")) }, "b c d"},
		} {
			if err := step.write(); err != nil {
				return err
			}
			wantKeys(t, tx, kv.Range{}, step.want)
		}
		wantKeys(t, tx, kv.Range{Reverse: true}, "d c b")
		wantValue(t, tx, "b", "again")
		wantAbsent(t, tx, "a")
		wantAbsent(t, tx, "bb")
		return nil
	})
	view(t, s, func(tx kv.Tx) error {
		wantKeys(t, tx, kv.Range{}, "b c d")
		return nil
	})
}

func testCreateOnce(t *testing.T, open Open) {
	s := start(t, open)
	taken := errors.New("taken")
	for round := range 5 {
		key := []byte{byte('a' + round)}
		var wg sync.WaitGroup
		errs := make([]error, 64)
		for i := range errs {
			wg.Go(func() {
				errs[i] = s.Update(context.Background(), func(tx kv.Tx) error {
					if _, err := tx.Get(Rows, key); !errors.Is(err, kv.ErrNotFound) {
						return errors.Join(taken, err)
					}
					return tx.Put(Rows, key, []byte{byte(i)})
				})
			})
		}
		wg.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Errorf("%d and %d both created %s", winner, i, key)
			case err == nil:
				winner = i
			default:
				wantErr(t, "loser", err, taken)
			}
		}
		view(t, s, func(tx kv.Tx) error {
			wantValue(t, tx, string(key), string([]byte{byte(winner)}))
			return nil
		})
	}
}

func testIncrements(t *testing.T, open Open) {
	s := start(t, open)
	const callers, each = 16, 40
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			last := uint64(0)
			for range each {
				var now uint64
				err := s.Update(context.Background(), func(tx kv.Tx) (err error) {
					now, err = add(tx, []byte("count"), 1)
					return err
				})
				if err != nil || now <= last {
					t.Errorf("increment: %d after %d, %v", now, last, err)
					return
				}
				last = now
				err = s.View(context.Background(), func(tx kv.Tx) error {
					if seen := count(t, tx, []byte("count")); seen < now {
						t.Errorf("view saw %d after an update returned %d", seen, now)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	view(t, s, func(tx kv.Tx) error {
		if n := count(t, tx, []byte("count")); n != callers*each {
			t.Errorf("count = %d, want %d", n, callers*each)
		}
		return nil
	})
}

func testSnapshot(t *testing.T, open Open) {
	s := start(t, open)
	set(t, s, "a", "1", "b", "1")
	inside, written := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- s.View(context.Background(), func(tx kv.Tx) error {
			wantValue(t, tx, "a", "1")
			close(inside)
			<-written
			wantKeys(t, tx, kv.Range{}, "a b")
			wantValue(t, tx, "a", "1")
			wantValue(t, tx, "b", "1")
			return nil
		})
	}()
	<-inside
	set(t, s, "a", "2", "c", "2")
	update(t, s, func(tx kv.Tx) error { return tx.Delete(Rows, []byte("b")) })
	close(written)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	view(t, s, func(tx kv.Tx) error {
		wantKeys(t, tx, kv.Range{}, "a c")
		return nil
	})
}

// testCloseDrains closes a store under load: each update that returned nil is
// there afterwards, each that did not is not.
func testCloseDrains(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	var wg sync.WaitGroup
	kept := make([]int, 16)
	started := make(chan struct{}, 1<<16)
	for i := range kept {
		wg.Go(func() {
			for {
				err := s.Update(context.Background(), func(tx kv.Tx) error {
					return tx.Put(Rows, fmt.Appendf(nil, "%02d/%06d", i, kept[i]), nil)
				})
				if err != nil {
					wantErr(t, "update", err, kv.ErrClosed)
					return
				}
				kept[i]++
				select {
				case started <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 100 {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	s = open(t, dir)
	defer s.Close()
	view(t, s, func(tx kv.Tx) error {
		for i, want := range kept {
			n := 0
			err := tx.Scan(Rows, kv.Prefix(fmt.Appendf(nil, "%02d/", i)), func(_, _ []byte) error { n++; return nil })
			if err != nil || n != want {
				t.Errorf("caller %d: %d rows, %v, want %d", i, n, err, want)
			}
		}
		return nil
	})
}

func testReopen(t *testing.T, open Open) {
	dir := t.TempDir()
	want := ""
	for round := range 4 {
		s := open(t, dir)
		view(t, s, func(tx kv.Tx) error {
			wantKeys(t, tx, kv.Range{}, want)
			return nil
		})
		key := string(rune('a' + round))
		set(t, s, key, key)
		want = strings.TrimSpace(want + " " + key)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// testLargeUpdate writes far more in one update than any page or buffer holds,
// then deletes nearly all of it in one.
func testLargeUpdate(t *testing.T, open Open) {
	s := start(t, open)
	const rows = 20_000
	key := func(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i*2654435761)) }
	update(t, s, func(tx kv.Tx) error {
		for i := range rows {
			if err := tx.Put(Rows, key(i), key(i)); err != nil {
				return err
			}
			if err := tx.Put(Log, binary.BigEndian.AppendUint32(nil, uint32(i)), key(i)); err != nil {
				return err
			}
		}
		return nil
	})
	update(t, s, func(tx kv.Tx) error {
		for i := 1; i < rows; i++ {
			if err := tx.Delete(Rows, key(i)); err != nil {
				return err
			}
		}
		wantKeys(t, tx, kv.Range{Reverse: true}, string(key(0)))
		return nil
	})
	view(t, s, func(tx kv.Tx) error {
		wantKeys(t, tx, kv.Range{}, string(key(0)))
		n := 0
		err := tx.Scan(Log, kv.Range{}, func(k, v []byte) error {
			if i := binary.BigEndian.Uint32(k); int(i) != n || !bytes.Equal(v, key(n)) {
				return fmt.Errorf("row %d: key %d, value %x", n, i, v)
			}
			n++
			return nil
		})
		if n != rows {
			t.Errorf("log has %d rows, want %d", n, rows)
		}
		return err
	})
}
