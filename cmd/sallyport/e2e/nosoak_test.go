//go:build !soak

package e2e_test

const long = false
