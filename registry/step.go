package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sallyport/registry/kv"
)

// systemPrincipal acts where no credential does.
const systemPrincipal PrincipalName = "system"

// txn is one transaction of the ledger.
type txn struct {
	kv.Tx
	l     *Ledger
	now   time.Time    // of everything in it
	steps []transition // taken, for the metrics

	wroteKeys    bool // see keyring
	wroteBuckets bool // see bucketring
	told         bool // there is a new leaf, see bell
}

// stateful is a row that lives in one of the two machines.
type stateful interface {
	place() string // its state
	move(to string)
	row() (table kv.Table, key []byte)
	fields(*codec)
	index(add func(table kv.Table, key, value []byte)) // the entries that point at it as it stands
	describe(*Event)
	subject() (TenantName, ObjectID) // whose timeline its events belong to
}

// apply is how anything happens to an upload or an object: it asks the table,
// lets edit change the row, appends the event, and writes row, index entries
// (the queues are such) and timeline, all in t's transaction. edit may be nil;
// it does not touch the state.
func (t *txn) apply(s step, x stateful, ev *Event, edit func()) error {
	from := x.place()
	to, err := next(s, from)
	if err != nil {
		return err
	}
	var before entries
	if from != unborn {
		x.index(before.add)
	}
	x.move(to)
	if o, ok := x.(*Object); ok {
		o.stepped(from, t.now)
	}
	if edit != nil {
		edit()
	}
	if err := t.dropRenditions(x); err != nil {
		return err
	}
	ev.From, ev.To = from, to
	x.describe(ev)
	if from == unborn {
		err = t.recordBirth(ev, x)
	} else {
		_, err = t.recordFor(ev, x)
	}
	if err != nil {
		return err
	}
	t.steps = append(t.steps, transition{s, from, to})
	return t.write(x, before)
}

// rewrite changes a row without a step: a lease, a queue's turn, a grant. No
// state changes and no event is owed.
func (t *txn) rewrite(x stateful, edit func()) error {
	var before entries
	x.index(before.add)
	edit()
	return t.write(x, before)
}

// write puts the row and makes its index entries be those it now asks for.
func (t *txn) write(x stateful, before entries) error {
	var after entries
	x.index(after.add)
	for _, e := range before {
		if !after.has(e) {
			if err := t.Delete(e.table, e.key); err != nil {
				return err
			}
		}
	}
	for _, e := range after {
		if !before.holds(e) {
			if err := t.Put(e.table, e.key, e.value); err != nil {
				return err
			}
		}
	}
	table, key := x.row()
	return t.Put(table, key, pack(x))
}

// entry is one row of an index.
type entry struct {
	table      kv.Table
	key, value []byte
}

type entries []entry

func (es *entries) add(table kv.Table, key, value []byte) {
	*es = append(*es, entry{table, key, value})
}

// has tells whether there is an entry under e's key.
func (es entries) has(e entry) bool {
	for i := range es {
		if es[i].table == e.table && bytes.Equal(es[i].key, e.key) {
			return true
		}
	}
	return false
}

// holds tells whether e itself is there.
func (es entries) holds(e entry) bool {
	for i := range es {
		if es[i].table == e.table && bytes.Equal(es[i].key, e.key) {
			return bytes.Equal(es[i].value, e.value)
		}
	}
	return false
}

// bear writes the row of an object whose birth its session's event tells of.
func (t *txn) bear(s step, o *Object, ev *Event) error {
	to, err := next(s, unborn)
	if err != nil {
		return err
	}
	o.move(to)
	o.Born = ev.Seq + 1
	t.steps = append(t.steps, transition{s, unborn, to})
	return t.write(o, nil)
}

// event starts an event of this moment.
func (t *txn) event(what EventType, by Actor) *Event {
	return newEvent(what, by, t.now)
}

// record appends an event that belongs to no object.
func (t *txn) record(ev *Event) (uint64, error) {
	t.told = true
	return t.l.append(t.Tx, ev)
}

// recordBirth appends the event that an object begins with, which the object's row
// will name: x's, or of an upload, the one that bear writes.
func (t *txn) recordBirth(ev *Event, x stateful) error {
	seq, err := t.record(ev)
	if o, ok := x.(*Object); ok {
		o.Born = seq + 1
	}
	return err
}

// leaves returns the first limit of the seqs that make an object's timeline, from
// one on.
func (t *txn) leaves(o *Object, from uint64, limit int) (seqs []uint64, err error) {
	if o.Born > from {
		seqs = append(seqs, o.Born-1)
	}
	key := keyOf(o.Tenant, string(o.ID))
	later := kv.Range{From: numbered(key, from), To: under(o.Tenant, string(o.ID)).To}
	err = t.Scan(tTimeline, later, func(k, _ []byte) error {
		if len(seqs) == limit {
			return kv.Stop
		}
		seqs = append(seqs, lastNumber(k))
		return nil
	})
	return seqs, err
}

// recordFor appends an event and puts it on the object's timeline.
func (t *txn) recordFor(ev *Event, x stateful) (uint64, error) {
	seq, err := t.record(ev)
	if err != nil {
		return 0, err
	}
	tenant, object := x.subject()
	return seq, t.Put(tTimeline, numbered(keyOf(tenant, string(object)), seq), nil)
}

// put writes a row, packed or as JSON.
func (t *txn) put(table kv.Table, key []byte, v any) error {
	if p, ok := v.(packed); ok {
		return t.Put(table, key, pack(p))
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a row of %s: %w", table, err)
	}
	return t.Put(table, key, b)
}

// load reads the row under key into v. An absent one is ErrNotFound.
func (t *txn) load(table kv.Table, key []byte, v any) error {
	b, err := t.get(table, key)
	if err != nil {
		return err
	}
	return decode(table, b, v)
}

// decode reads a row, packed or JSON, into v, which is zero.
func decode(table kv.Table, value []byte, v any) error {
	if p, ok := v.(packed); ok {
		return unpack(table, value, p)
	}
	if err := json.Unmarshal(value, v); err != nil {
		return fmt.Errorf("decode a row of %s: %w", table, err)
	}
	return nil
}

// get is Get with the ledger's own ErrNotFound.
func (t *txn) get(table kv.Table, key []byte) ([]byte, error) {
	b, err := t.Get(table, key)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, ErrNotFound
	}
	return b, err
}

// has tells whether the table has the key.
func (t *txn) has(table kv.Table, key []byte) (bool, error) {
	_, err := t.Get(table, key)
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// nextSeq takes the next place in the history of keys.
func (t *txn) nextSeq() (uint64, error) {
	n, err := t.number(metaSeq)
	if err != nil {
		return 0, err
	}
	return n + 1, t.setNumber(metaSeq, n+1)
}
