package registry

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sallyport/registry/kv"
)

// TestKnownRoots has the leaves and roots that the tests of Certificate
// Transparency use for RFC 6962.
func TestKnownRoots(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	f := newAuditFile(t)
	var streamed frontier
	check := func(tx kv.Tx, n int) {
		stored, err := treeHash(tx, uint64(n))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(stored[:]); got != roots[n] {
			t.Errorf("stored root of %d is %s, want %s", n, got, roots[n])
		}
		if root := streamed.root(); hex.EncodeToString(root[:]) != roots[n] {
			t.Errorf("streamed root of %d is %x, want %s", n, root, roots[n])
		}
	}
	err := f.store.Update(t.Context(), func(tx kv.Tx) error {
		streamed = frontier{}
		check(tx, 0)
		for i, s := range leaves {
			leaf, err := hex.DecodeString(s)
			if err != nil {
				return err
			}
			if err := putLeaf(tx, uint64(i), leaf); err != nil {
				return err
			}
			streamed.add(tlog.RecordHash(leaf))
			check(tx, i+1)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestProofs checks random proofs in trees about the borders of tiles, one of
// them three levels of tiles high.
func TestProofs(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	r := rand.New(rand.NewPCG(1, 2))
	var heads [][]byte
	var sizes []uint64
	size := uint64(0)
	for _, to := range []uint64{1, 2, 3, 255, 256, 257, 511, 512, 1000, 65535, 65536, 65537, 66000} {
		f.fill(t, a, int(to-size), "acme")
		size = to
		head, err := a.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		heads, sizes = append(heads, head), append(sizes, size)
		for range 8 {
			seq := r.Uint64N(size)
			leaves, err := a.Events(t.Context(), "", seq, 1)
			if err != nil {
				t.Fatal(err)
			}
			proof, err := a.Proof(t.Context(), seq, size)
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifyInclusion(a.VerifierKey(), head, leaves[0].Bytes, seq, proof); err != nil {
				t.Errorf("leaf %d of %d: %v", seq, size, err)
			}
		}
	}
	for i, older := range heads {
		for j := i; j < len(heads); j++ {
			proof, err := a.ConsistencyProof(t.Context(), sizes[i], sizes[j])
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifyExtension(a.VerifierKey(), older, heads[j], proof); err != nil {
				t.Errorf("%d to %d: %v", sizes[i], sizes[j], err)
			}
		}
	}
	if got := mustVerify(t, a); got.Size != size || got.Signed.Size != size || got.Root != got.Signed.Root {
		t.Errorf("VerifyAudit = %+v", got)
	}
}
