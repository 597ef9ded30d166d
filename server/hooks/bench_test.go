package hooks_test

import "testing"

// BenchmarkDelivery sends one message after the other to a target on the same machine:
// what a single webhook takes at most.
func BenchmarkDelivery(b *testing.B) {
	r := newRig(b)
	v := startReceiver(b, nil)
	r.hook(v.URL)
	for range b.N {
		r.begin()
	}
	b.ResetTimer()
	r.run()
	v.await(r, b.N)
}
