//go:build race

package sigv4_test

// raceEnabled: the race detector makes sync.Pool forget at random.
const raceEnabled = true
