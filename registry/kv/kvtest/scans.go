package kvtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/registry/kv"
)

func testScanRanges(t *testing.T, open Open) {
	s := start(t, open)
	set(t, s, "a", "", "b", "", "ba", "", "bb", "", "c", "", "\xff", "", "\xff\xff", "")
	b := func(s string) []byte { return []byte(s) }
	tests := []struct {
		r    kv.Range
		want string
	}{
		{kv.Range{}, "a b ba bb c \xff \xff\xff"},
		{kv.Range{From: b("b")}, "b ba bb c \xff \xff\xff"},
		{kv.Range{From: b("b"), To: b("bb")}, "b ba"},
		{kv.Range{From: b("b"), To: b("bb\x00")}, "b ba bb"},
		{kv.Range{To: b("b")}, "a"},
		{kv.Range{From: b("b0"), To: b("bz")}, "ba bb"},
		{kv.Range{From: b("c"), To: b("b")}, ""},
		{kv.Range{From: b("b"), To: b("b")}, ""},
		{kv.Range{To: []byte{}}, ""},
		{kv.Range{From: b("x"), To: b("y")}, ""},
		{kv.Range{From: b("\xff\xff\xff")}, ""},
		{kv.Prefix(b("b")), "b ba bb"},
		{kv.Prefix(b("\xff")), "\xff \xff\xff"},
		{kv.Prefix(nil), "a b ba bb c \xff \xff\xff"},
		{kv.Prefix(b("z")), ""},
		{kv.Range{From: kv.Successor(b("b")), To: b("c")}, "ba bb"},
		{kv.Range{From: b("b"), To: kv.Successor(b("c"))}, "b ba bb c"},
	}
	check := func(tx kv.Tx) error {
		for _, tt := range tests {
			tt.r.Reverse = false
			wantKeys(t, tx, tt.r, tt.want)
			tt.r.Reverse = true
			keys := strings.Fields(tt.want)
			slices.Reverse(keys)
			wantKeys(t, tx, tt.r, strings.Join(keys, " "))
		}
		return nil
	}
	view(t, s, check)
	// The same rows, the odd ones pending and with pending deletes between.
	for i, pair := range [][2]string{{"a", "b"}, {"c", "\xff"}, {"ba", "\xff\xff"}} {
		err := s.Update(t.Context(), func(tx kv.Tx) error {
			for _, k := range pair {
				if err := errors.Join(tx.Delete(Rows, b(k)), tx.Delete(Rows, b(k+"\x00")),
					tx.Put(Rows, b("aa"), nil), tx.Put(Rows, b(k), nil), tx.Delete(Rows, b("aa"))); err != nil {
					return err
				}
			}
			return check(tx)
		})
		if err != nil {
			t.Errorf("pair %d: %v", i, err)
		}
	}
	view(t, s, check)
}

// testScanEmptied scans, within the update that does it and within a later one,
// a table of many pages of which all or a middle part was deleted.
func testScanEmptied(t *testing.T, open Open) {
	s := start(t, open)
	const rows = 3000
	key := func(i int) []byte { return fmt.Appendf(nil, "%05d", i) }
	fill := func(tx kv.Tx) error {
		for i := range rows {
			if err := tx.Put(Rows, key(i), make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, keep := range []int{0, 1, 50} { // rows kept at either end
		update(t, s, fill)
		check := func(tx kv.Tx) error {
			for _, reverse := range []bool{false, true} {
				n := 0
				err := tx.Scan(Rows, kv.Range{Reverse: reverse}, func(k, _ []byte) error {
					want := n
					if n >= keep {
						want = rows - 2*keep + n
					}
					if reverse {
						want = rows - 1 - want
					}
					if string(k) != string(key(want)) {
						return fmt.Errorf("row %d is %s, want %s", n, k, key(want))
					}
					n++
					return nil
				})
				if err != nil || n != 2*keep {
					t.Errorf("keep %d, reverse %t: %d rows, %v", keep, reverse, n, err)
				}
			}
			return nil
		}
		update(t, s, func(tx kv.Tx) error {
			for i := keep; i < rows-keep; i++ {
				if err := tx.Delete(Rows, key(i)); err != nil {
					return err
				}
			}
			return check(tx)
		})
		update(t, s, check)
		view(t, s, check)
	}
}

func testScanEndsEarly(t *testing.T, open Open) {
	s := start(t, open)
	set(t, s, "a", "", "b", "", "c", "")
	boom := errors.New("boom")
	view(t, s, func(tx kv.Tx) error {
		for _, tt := range []struct {
			fn, want error
		}{{boom, boom}, {kv.Stop, nil}, {fmt.Errorf("enough: %w", kv.Stop), nil}} {
			n := 0
			err := tx.Scan(Rows, kv.Range{}, func(k, _ []byte) error {
				n++
				if string(k) == "b" {
					return tt.fn
				}
				return nil
			})
			if !errors.Is(err, tt.want) || n != 2 {
				t.Errorf("scan ended by %v: %v after %d rows, want %v after 2", tt.fn, err, n, tt.want)
			}
		}
		return nil
	})
}

func testNestedScans(t *testing.T, open Open) {
	s := start(t, open)
	set(t, s, "a", "", "b", "")
	fn := func(tx kv.Tx) error {
		pairs := ""
		err := tx.Scan(Rows, kv.Range{}, func(k1, _ []byte) error {
			if _, err := tx.Get(Rows, []byte("b")); err != nil { // must not move either scan
				return err
			}
			return tx.Scan(Rows, kv.Range{Reverse: true}, func(k2, _ []byte) error {
				pairs += string(k1) + string(k2) + " "
				return nil
			})
		})
		if want := "ac ab aa bc bb ba cc cb ca "; pairs != want {
			t.Errorf("pairs = %q, want %q", pairs, want)
		}
		return err
	}
	update(t, s, func(tx kv.Tx) error {
		if err := tx.Put(Rows, []byte("c"), nil); err != nil {
			return err
		}
		return fn(tx)
	})
	view(t, s, fn)
}
