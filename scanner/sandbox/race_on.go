//go:build race

package sandbox

// shadow is how much address space a byte of memory takes: the race detector
// keeps book of each.
const shadow = 5
