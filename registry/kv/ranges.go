package kv

import "slices"

// Prefix returns the range of all keys that start with p. An empty p is the
// whole table.
func Prefix(p []byte) Range {
	return Range{From: p, To: PrefixEnd(p)}
}

// PrefixEnd returns the first key after all keys that start with p, or nil if
// there is none (p is empty or all 0xff).
func PrefixEnd(p []byte) []byte {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != 0xff {
			end := slices.Clone(p[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// Successor returns the first key after key. As a From it resumes a forward
// scan behind key; as a To it includes key.
func Successor(key []byte) []byte {
	s := make([]byte, len(key)+1)
	copy(s, key)
	return s
}
