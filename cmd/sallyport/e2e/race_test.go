//go:build race

package e2e_test

// raceEnabled: servers are built with the race detector, too.
const raceEnabled = true
