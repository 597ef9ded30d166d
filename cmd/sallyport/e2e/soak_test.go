//go:build soak

package e2e_test

// long turns up sizes and rounds.
const long = true
