package registry

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// export is what a reader has: all leaves as lines, a checkpoint and the key.
func export(tb testing.TB, a *auditLog) (lines, checkpoint []byte, key string) {
	tb.Helper()
	checkpoint, err := a.Checkpoint(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	c, err := OpenCheckpoint(a.VerifierKey(), checkpoint)
	if err != nil {
		tb.Fatal(err)
	}
	for from := uint64(0); from < c.Size; {
		page, err := a.Events(tb.Context(), "", from, 100)
		if err != nil {
			tb.Fatal(err)
		}
		for _, leaf := range page {
			lines = append(append(lines, leaf.Bytes...), '\n')
			from = leaf.Seq + 1
		}
	}
	return lines, checkpoint, a.VerifierKey()
}

func TestVerifyExport(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	empty, nothing, key := export(t, a)
	if c, err := VerifyExport(key, nothing, bytes.NewReader(empty)); err != nil || c.Size != 0 {
		t.Errorf("empty log: %+v, %v", c, err)
	}
	f.fill(t, a, 700, "acme", "other")
	lines, checkpoint, key := export(t, a)
	c, err := VerifyExport(key, checkpoint, bytes.NewReader(lines))
	if err != nil || c.Size != 700 || !strings.HasPrefix(c.Origin, "sallyport/audit/") {
		t.Fatalf("VerifyExport = %+v, %v", c, err)
	}
	// The last end of line may be missing.
	if _, err := VerifyExport(key, checkpoint, bytes.NewReader(bytes.TrimSuffix(lines, []byte("\n")))); err != nil {
		t.Error(err)
	}

	_, otherKey, err := note.GenerateKey(nil, c.Origin)
	if err != nil {
		t.Fatal(err)
	}
	split := bytes.SplitAfter(lines, []byte("\n"))
	flip := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[i] ^= 1
		return b
	}
	for _, tc := range []struct {
		name       string
		key        string
		checkpoint []byte
		lines      []byte
		want       error
		seq        int
	}{
		{"another's key", otherKey, checkpoint, lines, ErrTampered, -1},
		{"no key", "", checkpoint, lines, ErrInvalid, -1},
		{"no checkpoint", key, nil, lines, ErrTampered, -1},
		{"older checkpoint", key, nothing, lines, ErrInvalid, -1},
		{"checkpoint's size changed", key, bytes.Replace(checkpoint, []byte("\n700\n"), []byte("\n699\n"), 1), lines, ErrTampered, -1},
		{"leaf changed", key, checkpoint, bytes.Replace(lines, []byte(`"alice"`), []byte(`"mallo"`), 1), ErrTampered, -1},
		{"seq changed", key, checkpoint, bytes.Replace(lines, []byte(`{"seq":42,`), []byte(`{"seq":43,`), 1), ErrTampered, 42},
		{"last byte changed", key, checkpoint, flip(lines, len(lines)-3), ErrTampered, -1},
		{"leaf missing", key, checkpoint, bytes.Join(append(split[:300:300], split[301:]...), nil), ErrTampered, 300},
		{"last leaf missing", key, checkpoint, bytes.Join(split[:699], nil), ErrTampered, 699},
		{"leaf twice", key, checkpoint, bytes.Join(append(split[:2:2], split[1:]...), nil), ErrTampered, 2},
		{"leaves swapped", key, checkpoint, bytes.Join([][]byte{split[1], split[0]}, nil), ErrTampered, 0},
		{"not JSON", key, checkpoint, []byte("<html>\n"), ErrTampered, 0},
		{"empty line", key, checkpoint, []byte("\n"), ErrTampered, 0},
		{"nothing", key, checkpoint, nil, ErrTampered, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := VerifyExport(tc.key, tc.checkpoint, bytes.NewReader(tc.lines))
			if !errors.Is(err, tc.want) {
				t.Fatalf("VerifyExport = %v, want %v", err, tc.want)
			}
			var broken *TamperError
			if tc.seq >= 0 && (!errors.As(err, &broken) || broken.Seq != uint64(tc.seq)) {
				t.Errorf("VerifyExport = %v, want leaf %d named", err, tc.seq)
			}
		})
	}
}

func TestVerifyInclusion(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	f.fill(t, a, 300, "acme")
	older, err := a.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.fill(t, a, 300, "acme")
	newer, err := a.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Checkpoint(t.Context())
	if err != nil || !bytes.Equal(again, newer) {
		t.Errorf("Checkpoint of an unchanged tree = %q, %v; was %q", again, err, newer)
	}
	leaves, err := a.Events(t.Context(), "", 123, 2)
	if err != nil {
		t.Fatal(err)
	}
	leaf, key := leaves[0].Bytes, a.VerifierKey()
	proof, err := a.Proof(t.Context(), 123, 600)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyInclusion(key, newer, leaf, 123, proof); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"older checkpoint": VerifyInclusion(key, older, leaf, 123, proof),
		"another leaf":     VerifyInclusion(key, newer, leaves[1].Bytes, 123, proof),
		"another place":    VerifyInclusion(key, newer, leaves[1].Bytes, 124, proof),
		"changed leaf":     VerifyInclusion(key, newer, bytes.Replace(leaf, []byte("alice"), []byte("mallo"), 1), 123, proof),
		"short proof":      VerifyInclusion(key, newer, leaf, 123, proof[1:]),
		"changed proof":    VerifyInclusion(key, newer, leaf, 123, append(proof[1:len(proof):len(proof)], proof[0])),
		"shrunk log":       VerifyExtension(key, newer, older, nil),
		"no proof":         VerifyExtension(key, older, newer, nil),
		"other checkpoint": VerifyExtension(key, older, bytes.Replace(newer, []byte("600"), []byte("601"), 1), nil),
	} {
		if !errors.Is(err, ErrTampered) {
			t.Errorf("%s: %v, want ErrTampered", name, err)
		}
	}
	if err := VerifyInclusion(key, older, bytes.Replace(leaf, []byte(":123,"), []byte(":300,"), 1), 300, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("leaf after the checkpoint: %v, want ErrInvalid", err)
	}
	for _, tc := range []struct{ old, size uint64 }{{0, 5}, {6, 5}, {5, 601}} {
		if _, err := a.ConsistencyProof(t.Context(), tc.old, tc.size); !errors.Is(err, ErrInvalid) {
			t.Errorf("ConsistencyProof(%d, %d) = %v, want ErrInvalid", tc.old, tc.size, err)
		}
	}
	for _, tc := range []struct{ seq, size uint64 }{{5, 5}, {0, 0}, {0, 601}, {1 << 63, 1<<63 + 1}} {
		if _, err := a.Proof(t.Context(), tc.seq, tc.size); !errors.Is(err, ErrInvalid) {
			t.Errorf("Proof(%d, %d) = %v, want ErrInvalid", tc.seq, tc.size, err)
		}
	}
}

func FuzzVerifyExport(f *testing.F) {
	file := newAuditFile(f)
	a := file.open(f)
	file.fill(f, a, 5, "acme")
	lines, checkpoint, key := export(f, a)
	f.Add(lines, checkpoint)
	f.Add([]byte{}, checkpoint)
	f.Fuzz(func(t *testing.T, l, c []byte) {
		if _, err := VerifyExport(key, c, bytes.NewReader(l)); err != nil {
			return
		}
		same := func(b []byte) string { return strings.TrimSuffix(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n") }
		if same(l) != same(lines) {
			t.Errorf("an export that is not ours was accepted:\n%q\n%q", l, c)
		}
	})
}
