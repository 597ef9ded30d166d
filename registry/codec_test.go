package registry

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"time"
)

// fill sets every field of v, so that one which is not written shows.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n) << 33)
	case reflect.Uint64:
		v.SetUint(1<<63 + uint64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range 3 {
			v.SetMapIndex(reflect.ValueOf(fmt.Sprint("k", i)), reflect.ValueOf(fmt.Sprint("v", *n, i)))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(fromMillis(uint64(1_800_000_000_000 + *n))))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("a field of kind " + v.Kind().String())
	}
}

func packedRows() []packed {
	return []packed{
		new(Upload), new(Object), new(Grant), new(keyRow), new(Bucket), new(Part), new(Multipart), new(partNotes),
		new(renditionRow),
	}
}

func TestRowsKeepEveryField(t *testing.T) {
	for i, row := range packedRows() {
		n := 0
		fill(reflect.ValueOf(row).Elem(), &n)
		again := packedRows()[i]
		if err := unpack("test", pack(row), again); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(row, again) {
			t.Errorf("wrote %+v\nread  %+v", row, again)
		}
		if !bytes.Equal(pack(row), pack(again)) {
			t.Errorf("%T is not written the same twice", row)
		}
	}
}

func TestRowsKeepNone(t *testing.T) {
	for i, row := range packedRows() {
		again := packedRows()[i]
		if err := unpack("test", pack(row), again); err != nil {
			t.Fatal(err)
		}
		if k, ok := again.(*keyRow); ok {
			k.Sealed = nil // the one field where none is read as empty
		}
		if !reflect.DeepEqual(row, again) {
			t.Errorf("wrote %+v\nread  %+v", row, again)
		}
	}
	o, again := Object{Metadata: map[string]string{}, Extents: []Extent{}}, Object{}
	if err := unpack("test", pack(&o), &again); err != nil || again.Metadata == nil || again.Extents == nil {
		t.Errorf("empty became none: %+v (%v)", again, err)
	}
}

// TestRowsOfAnEarlierVersion: they end before the fields that were added.
func TestRowsOfAnEarlierVersion(t *testing.T) {
	g := Grant{ID: "g_1", Tenant: "acme", Op: GrantGet, IssuedAt: fromMillis(1)}
	row := pack(&g)
	var again Grant
	if err := unpack("test", row[:len(row)-1], &again); err != nil || again != g {
		t.Errorf("got %+v (%v)", again, err)
	}
}

func TestDamagedRows(t *testing.T) {
	g := Grant{ID: "g_1"}
	whole := pack(&g)
	for name, row := range map[string][]byte{
		"empty": {}, "json": []byte(`{"id":"g_1"}`), "cut text": whole[:3], "too long": append(bytes.Clone(whole), 0),
		"endless number": append([]byte{rowFormat}, bytes.Repeat([]byte{0xff}, 20)...),
		"length of 2^63": {rowFormat, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		if err := unpack("test", row, new(Grant)); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	for i, row := range packedRows() {
		n := 0
		fill(reflect.ValueOf(row).Elem(), &n)
		f.Add(uint8(i), pack(row))
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		row := packedRows()[int(kind)%len(packedRows())]
		if unpack("test", b, row) != nil {
			return
		}
		again := packedRows()[int(kind)%len(packedRows())]
		if err := unpack("test", pack(row), again); err != nil || !reflect.DeepEqual(row, again) {
			t.Errorf("%+v became %+v (%v)", row, again, err)
		}
	})
}
