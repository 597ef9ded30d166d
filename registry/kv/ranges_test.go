package kv_test

import (
	"bytes"
	"testing"

	"sallyport/registry/kv"
)

func TestPrefixEnd(t *testing.T) {
	tests := []struct{ prefix, want []byte }{
		{nil, nil},
		{[]byte{}, nil},
		{[]byte{0xff}, nil},
		{[]byte{0xff, 0xff}, nil},
		{[]byte("a"), []byte("b")},
		{[]byte{0}, []byte{1}},
		{[]byte{'a', 0xff}, []byte("b")},
		{[]byte{'a', 0xfe, 0xff, 0xff}, []byte{'a', 0xff}},
	}
	for _, tt := range tests {
		before := bytes.Clone(tt.prefix)
		got := kv.PrefixEnd(tt.prefix)
		if !bytes.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
			t.Errorf("PrefixEnd(%x) = %x, want %x", tt.prefix, got, tt.want)
		}
		if !bytes.Equal(tt.prefix, before) {
			t.Errorf("PrefixEnd changed its argument %x to %x", before, tt.prefix)
		}
	}
}

func TestSuccessor(t *testing.T) {
	key := append(make([]byte, 0, 8), "key"...)
	next := kv.Successor(key)
	if string(next) != "key\x00" {
		t.Errorf("Successor = %q", next)
	}
	next[0] = 'x'
	if string(key) != "key" {
		t.Error("Successor shares memory with its argument")
	}
}
