package registry

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"sallyport/registry/kv"
)

// The rows of the hot paths are not JSON: decoding an object took 18 µs, more
// than the rest of a look-up, and a third of the bytes were names of fields.
// Such a row is a format number and then its fields in the order of its fields
// method, which serves both directions. Numbers are varints, texts carry their
// length, times are milliseconds with 0 for none, lists and maps their count
// (plus one where none and empty differ).
//
// A new field goes to the end of its row: rows written before end early, and
// the field is then zero. Inside a list's element nothing can be added without
// another format.

// packed is a row that is written this way.
type packed interface{ fields(*codec) }

// The first byte of a packed row; JSON begins with '{'. Rows of an earlier format
// are read, and written anew in the present one when they change.
const (
	rowFormat      = 2
	rowFormatPlain = 1 // extents were written out in full
)

var errRow = fmt.Errorf("%w: row is damaged", ErrInconsistent)

// codec writes a row to out, or reads one from in.
type codec struct {
	out     []byte
	in      string // one copy of the row, which all its texts share
	plain   bool   // what is read is of rowFormatPlain
	reading bool
	failed  bool
}

func pack(p packed) []byte {
	c := codec{out: make([]byte, 1, 512)}
	c.out[0] = rowFormat
	p.fields(&c)
	return c.out
}

func unpack(table kv.Table, b []byte, p packed) error {
	c := codec{reading: true}
	if len(b) > 0 && (b[0] == rowFormat || b[0] == rowFormatPlain) {
		c.in, c.plain = string(b[1:]), b[0] == rowFormatPlain
		p.fields(&c)
	} else {
		c.failed = true
	}
	if c.failed || c.in != "" {
		return fmt.Errorf("decode a row of %s: %w", table, errRow)
	}
	return nil
}

func (c *codec) uint(n *uint64) {
	if !c.reading {
		c.out = binary.AppendUvarint(c.out, *n)
		return
	}
	if c.in == "" { // an earlier version's row ends here
		*n = 0
		return
	}
	var v uint64
	for i := 0; i < len(c.in) && i < binary.MaxVarintLen64; i++ {
		b := c.in[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			c.in, *n = c.in[i+1:], v
			return
		}
	}
	c.fail()
}

func (c *codec) fail() {
	c.in, c.failed = "", true
}

// whole is a number that is never negative.
func whole[T ~int | ~int64](c *codec, n *T) {
	v := uint64(*n)
	c.uint(&v)
	if v > math.MaxInt64 {
		c.fail()
		v = 0
	}
	*n = T(v)
}

func (c *codec) bool(b *bool) {
	var v uint64
	if *b {
		v = 1
	}
	c.uint(&v)
	*b = v != 0
}

// maxMillis is beyond any time there is reason to write: the year 10889.
const maxMillis = 1 << 48

func (c *codec) time(t *time.Time) {
	var v uint64
	if !t.IsZero() {
		v = millis(*t)
	}
	c.uint(&v)
	if !c.reading {
		return
	}
	*t = time.Time{}
	switch {
	case v > maxMillis:
		c.fail()
	case v != 0:
		*t = fromMillis(v)
	}
}

func text[T ~string](c *codec, s *T) {
	n := uint64(len(*s))
	c.uint(&n)
	switch {
	case !c.reading:
		c.out = append(c.out, *s...)
	case n > uint64(len(c.in)):
		c.fail()
	default:
		*s, c.in = T(c.in[:n]), c.in[n:]
	}
}

// list walks a list; none stays none.
func list[T any](c *codec, l *[]T, each func(*T)) {
	n := uint64(0)
	if *l != nil {
		n = uint64(len(*l)) + 1
	}
	c.uint(&n)
	if c.reading {
		*l = nil
		if n == 0 {
			return
		}
		if n-1 > uint64(len(c.in)) { // every element takes a byte
			c.fail()
			return
		}
		*l = make([]T, n-1)
	}
	for i := range *l {
		each(&(*l)[i])
	}
}

// dict walks a map in the order of its keys; none stays none.
func (c *codec) dict(m *map[string]string) {
	var keys []string
	if *m != nil {
		keys = make([]string, 0, len(*m))
		for k := range *m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
	}
	values := *m
	if c.reading {
		values = nil
	}
	list(c, &keys, func(k *string) {
		v := values[*k]
		text(c, k)
		text(c, &v)
		if c.reading {
			if values == nil {
				values = make(map[string]string)
			}
			values[*k] = v
		}
	})
	if c.reading {
		*m = values
		if keys != nil && values == nil {
			*m = map[string]string{}
		}
	}
}

// maybe walks what a pointer points at, if anything.
func maybe[T any](c *codec, p **T, walk func(*T)) {
	there := *p != nil
	c.bool(&there)
	if c.reading {
		*p = nil
		if there {
			*p = new(T)
		}
	}
	if there && !c.failed {
		walk(*p)
	}
}
