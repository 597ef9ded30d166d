package kvtest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"sallyport/registry/kv"
)

// model is what a store should hold.
type model map[kv.Table]map[string]string

func (m model) clone() model {
	c := make(model, len(m))
	for t, rows := range m {
		c[t] = maps.Clone(rows)
	}
	return c
}

// scan returns the keys of a range in its order.
func (m model) scan(t kv.Table, r kv.Range) []string {
	var keys []string
	for k := range m[t] {
		if k >= string(r.From) && (r.To == nil || k < string(r.To)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	if r.Reverse {
		slices.Reverse(keys)
	}
	return keys
}

// trace is what one update did and saw. Its place in the order of updates is
// the number in the row turn when it ran.
type trace struct {
	turn   uint64
	failed bool
	steps  []func(model) error // does a step to a model, compares what was seen
}

// testSimulation plays random updates, of which some fail, from several
// goroutines, so that a store may commit them in groups. Afterwards it replays
// what they did, in their order, on a map, and compares all that they saw.
func testSimulation(t *testing.T, open Open) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dir := t.TempDir()
	m := model{Rows: {}, Index: {}, Log: {}}
	committed, failed := 0, 0
	for round := range 4 {
		s := open(t, dir)
		var mu sync.Mutex // protects traces
		var traces []trace
		var wg sync.WaitGroup
		for caller := range 8 {
			rng := rand.New(rand.NewPCG(seed, uint64(round*100+caller)))
			wg.Go(func() {
				for range 40 {
					tr, err := play(s, rng)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					traces = append(traces, tr)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		m = replay(t, m, traces)
		view(t, s, func(tx kv.Tx) error { return compare(tx, m) })
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			return
		}
		for _, tr := range traces {
			if tr.failed {
				failed++
			} else {
				committed++
			}
		}
	}
	if committed == 0 || failed == 0 {
		t.Errorf("%d updates committed, %d failed: nothing was tested", committed, failed)
	}
}

var (
	errFail = errors.New("simulated failure")
	turnKey = []byte("~turn") // no key of randomKey
)

// play runs one update and then looks at a snapshot.
func play(s kv.Store, rng *rand.Rand) (trace, error) {
	ops, fail := 1+rng.IntN(12), rng.IntN(4) == 0
	if rng.IntN(20) == 0 {
		ops = 300 // fills or empties pages
	}
	var tr trace
	err := s.Update(context.Background(), func(tx kv.Tx) error {
		tr = trace{failed: fail}
		next, err := add(tx, turnKey, 1)
		if err != nil {
			return err
		}
		tr.turn = next
		tr.steps = append(tr.steps, func(m model) error {
			m[Rows][string(turnKey)] = string(binary.BigEndian.AppendUint64(nil, next))
			return nil
		})
		for range ops {
			step, err := operation(rng, tx)
			if err != nil {
				return err
			}
			tr.steps = append(tr.steps, step)
		}
		if fail {
			return errFail
		}
		return nil
	})
	if fail && errors.Is(err, errFail) {
		err = nil
	}
	return tr, errors.Join(err, s.View(context.Background(), consistent))
}

// replay applies the traces to m in their order.
func replay(t testing.TB, m model, traces []trace) model {
	// A failed update saw the same turn as the one that took it.
	slices.SortFunc(traces, func(a, b trace) int {
		if a.turn == b.turn && a.failed != b.failed {
			if a.failed {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.turn, b.turn)
	})
	for i, tr := range traces {
		if i > 0 && !tr.failed && !traces[i-1].failed && traces[i-1].turn == tr.turn {
			t.Errorf("two updates took turn %d", tr.turn)
		}
		next := m.clone()
		for n, step := range tr.steps {
			if err := step(next); err != nil {
				t.Errorf("turn %d (failed %t), step %d: %v", tr.turn, tr.failed, n, err)
				return m
			}
		}
		if !tr.failed {
			m = next
		}
	}
	return m
}

// operation does one random thing to the store and returns the same for a
// model.
func operation(rng *rand.Rand, tx kv.Tx) (func(model) error, error) {
	table := Tables()[rng.IntN(3)]
	key := randomKey(rng)
	switch rng.IntN(10) {
	case 0, 1, 2, 3:
		value := randomValue(rng)
		return func(m model) error { m[table][string(key)] = string(value); return nil }, tx.Put(table, key, value)
	case 4, 5:
		return func(m model) error { delete(m[table], string(key)); return nil }, tx.Delete(table, key)
	case 6:
		return deleteRange(tx, table, randomRange(rng))
	case 7:
		v, err := tx.Get(table, key)
		found := err == nil
		if errors.Is(err, kv.ErrNotFound) {
			err = nil
		}
		got := string(v)
		return func(m model) error {
			if want, ok := m[table][string(key)]; ok != found || got != want {
				return fmt.Errorf("get %s %x = %x, %t, want %x, %t", table, key, got, found, want, ok)
			}
			return nil
		}, err
	}
	r := randomRange(rng)
	rows, err := rowsOf(tx, table, r)
	return func(m model) error { return compareRows(m, table, r, rows) }, err
}

func deleteRange(tx kv.Tx, table kv.Table, r kv.Range) (func(model) error, error) {
	rows, err := rowsOf(tx, table, r)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if err := tx.Delete(table, []byte(row[0])); err != nil {
			return nil, err
		}
	}
	return func(m model) error {
		err := compareRows(m, table, r, rows)
		for _, row := range rows {
			delete(m[table], row[0])
		}
		return err
	}, nil
}

// rowsOf scans a range. It leaves out the row of the turn, which every update
// writes.
func rowsOf(tx kv.Reader, table kv.Table, r kv.Range) (rows [][2]string, err error) {
	err = tx.Scan(table, r, func(k, v []byte) error {
		if !bytes.Equal(k, turnKey) {
			rows = append(rows, [2]string{string(k), string(v)})
		}
		return nil
	})
	return rows, err
}

func compareRows(m model, table kv.Table, r kv.Range, rows [][2]string) error {
	want := m.scan(table, r)
	want = slices.DeleteFunc(want, func(k string) bool { return k == string(turnKey) })
	for i, row := range rows {
		if i >= len(want) || row[0] != want[i] || row[1] != m[table][row[0]] {
			return fmt.Errorf("scan %s %s: row %d is %x (%d bytes)", table, show(r), i, row[0], len(row[1]))
		}
	}
	if len(rows) < len(want) {
		return fmt.Errorf("scan %s %s ended after %d of %d rows", table, show(r), len(rows), len(want))
	}
	return nil
}

// compare looks at every row, in both directions.
func compare(tx kv.Reader, m model) error {
	for _, table := range Tables() {
		for _, reverse := range []bool{false, true} {
			r := kv.Range{Reverse: reverse}
			rows, err := rowsOf(tx, table, r)
			if err := errors.Join(err, compareRows(m, table, r, rows)); err != nil {
				return err
			}
		}
	}
	return nil
}

// consistent checks that both directions of a snapshot agree.
func consistent(tx kv.Tx) error {
	for _, table := range Tables() {
		forward, err := rowsOf(tx, table, kv.Range{})
		back, err2 := rowsOf(tx, table, kv.Range{Reverse: true})
		slices.Reverse(back)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if !slices.Equal(forward, back) {
			return fmt.Errorf("table %s: %d rows forward, %d back", table, len(forward), len(back))
		}
	}
	return nil
}

func randomValue(rng *rand.Rand) []byte {
	value := make([]byte, rng.IntN(200))
	if rng.IntN(30) == 0 {
		value = make([]byte, 20_000)
	}
	for i := range value {
		value[i] = byte(rng.Uint32())
	}
	return value
}

// randomKey draws from a few hundred keys, with much of 0x00 and 0xff.
func randomKey(rng *rand.Rand) []byte {
	alphabet := []byte{0, 1, 'a', 'b', 'c', 'd', 0xfe, 0xff}
	key := make([]byte, 1+rng.IntN(3))
	for i := range key {
		key[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return key
}

func randomRange(rng *rand.Rand) kv.Range {
	var r kv.Range
	switch rng.IntN(4) {
	case 0:
		r.From = randomKey(rng)
	case 1:
		r = kv.Prefix(randomKey(rng))
	case 2:
		r.From, r.To = randomKey(rng), randomKey(rng)
		if bytes.Compare(r.From, r.To) > 0 && rng.IntN(4) > 0 {
			r.From, r.To = r.To, r.From
		}
	}
	r.Reverse = rng.IntN(2) == 0
	return r
}
