//go:build !race

package sandbox

// shadow is how much address space a byte of memory takes.
const shadow = 1
