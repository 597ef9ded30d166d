package registry

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// plainObject is an object's row as rowFormatPlain had it.
type plainObject struct{ Object }

func (o *plainObject) fields(c *codec) {
	if !c.reading { // as if it was reading: extents are written in full
		c.plain = true
	}
	o.Object.fields(c)
}

func TestExtentsWrittenInFull(t *testing.T) {
	o := plainObject{Object{ID: "obj_1", Key: "k", Extents: []Extent{
		{Blob: "accepted/a", Offset: 3, Length: 9}, {Blob: "accepted/b", Offset: 0, Length: 1 << 40},
	}, PartCount: 2}}
	row := pack(&o)
	row[0] = rowFormatPlain
	var again Object
	if err := unpack("test", row, &again); err != nil || !reflect.DeepEqual(again, o.Object) {
		t.Errorf("got %+v (%v), want %+v", again, err, o.Object)
	}
	row = pack(&again)
	if row[0] != rowFormat {
		t.Errorf("it is written again in format %d", row[0])
	}
	again = Object{}
	if err := unpack("test", row, &again); err != nil || !reflect.DeepEqual(again, o.Object) {
		t.Errorf("got %+v (%v), want %+v", again, err, o.Object)
	}
}

func TestDamagedExtents(t *testing.T) {
	type row struct{ head, tail, middle, offset, growth uint64 }
	write := func(rows ...row) []byte {
		c := codec{}
		n := uint64(len(rows)) + 1
		c.uint(&n)
		for i := range rows {
			r := &rows[i]
			middle := BlobKey("abcdef"[:r.middle])
			c.uint(&r.head)
			c.uint(&r.tail)
			text(&c, &middle)
			c.uint(&r.offset)
			c.uint(&r.growth)
		}
		return c.out
	}
	for name, c := range map[string]struct {
		rows []row
		fine bool
	}{
		"Fine":         {[]row{{0, 0, 6, 0, 2}, {2, 3, 1, 0, 0}}, true},
		"WholeShared":  {[]row{{0, 0, 6, 0, 2}, {6, 0, 0, 0, 0}}, true},
		"SharedByNone": {[]row{{1, 0, 6, 0, 2}}, false},
		"TailByNone":   {[]row{{0, 1, 6, 0, 2}}, false},
		"TooMuch":      {[]row{{0, 0, 6, 0, 2}, {4, 3, 1, 0, 0}}, false},
		"HugeTail":     {[]row{{0, 0, 6, 0, 2}, {0, 1<<63 - 1, 1, 0, 0}}, false},
		"Shrunk":       {[]row{{0, 0, 6, 0, 2}, {2, 3, 1, 0, 5}}, false},
		"NegativeAt0":  {[]row{{0, 0, 6, 0, 1}}, false},
	} {
		r := codec{reading: true, in: string(write(c.rows...))}
		var got []Extent
		extents(&r, &got)
		if r.failed == c.fine {
			t.Errorf("%s: failed %v, %v", name, r.failed, got)
		}
	}
}

// TestRowOfManyParts: what 10,000 parts take, whose keys come from several blocks of
// intents, as those of a busy server do.
func TestRowOfManyParts(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	ids := newIDSource(randomReader{random})
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	o := Object{ID: "obj_1", Key: "k", PartCount: MaxParts}
	for range MaxParts / 10 {
		at = at.Add(time.Duration(random.IntN(5000)) * time.Millisecond)
		for range 10 { // clients at once
			id, err := ids.next(prefixObject, at)
			if err != nil {
				t.Fatal(err)
			}
			blob := acceptedKey("0123456789abcdef0123456789abcdef", at, ObjectID(id))
			o.Extents = append(o.Extents, Extent{Blob: blob, Length: 16 << 20})
		}
	}
	row := pack(&o)
	t.Logf("%d bytes, %.1f a part", len(row), float64(len(row))/MaxParts)
	if len(row) > 200_000 {
		t.Errorf("%d parts take %d bytes", MaxParts, len(row))
	}
	var again Object
	if err := unpack("test", row, &again); err != nil || !reflect.DeepEqual(again, o) {
		t.Errorf("read another object (%v)", err)
	}
}

type randomReader struct{ *rand.Rand }

func (r randomReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return len(b), nil
}
