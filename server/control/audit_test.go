package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sallyport/registry"
)

// TestAuditIsWhatWasHashed: the lines are the leaves to the byte, and checkpoint,
// key and proofs verify without the server's help.
func TestAuditIsWhatWasHashed(t *testing.T) {
	r := newRig(t)
	boss := r.tenant("acme")
	r.published(boss, "x")
	r.published(r.root, "x")

	key := strings.TrimSpace(string(r.do(r.root, "GET", "/audit/key", "").want(200, "").body))
	checkpoint := r.do(r.root, "GET", "/audit/checkpoint", "").want(200, "").body
	head, err := registry.OpenCheckpoint(key, checkpoint)
	must(t, err)

	lines := r.leaves(r.root, "", head.Size)
	if _, err := registry.VerifyExport(key, checkpoint, bytes.NewReader(append(bytes.Join(lines, []byte("\n")), '\n'))); err != nil {
		t.Errorf("the exported log: %v", err)
	}
	leaves, err := r.ledger.Events(context.Background(), "", 0, int(head.Size))
	must(t, err)
	for i, leaf := range leaves {
		if !bytes.Equal(leaf.Bytes, lines[i]) {
			t.Errorf("leaf %d is %s, and was sent as %s", i, leaf.Bytes, lines[i])
		}
	}
	for seq, line := range lines {
		var proof struct {
			Hashes []registry.Hash `json:"hashes"`
		}
		r.do(r.root, "GET", fmt.Sprintf("/audit/proof?seq=%d&size=%d", seq, head.Size), "").want(200, "").into(&proof)
		if err := registry.VerifyInclusion(key, checkpoint, line, uint64(seq), proof.Hashes); err != nil {
			t.Fatalf("leaf %d: %v", seq, err)
		}
		if err := registry.VerifyInclusion(key, checkpoint, bytes.Replace(line, []byte("2"), []byte("3"), 1), uint64(seq), proof.Hashes); err == nil {
			t.Fatalf("leaf %d can be another one", seq)
		}
	}
}

// leaves reads the first size leaves that the caller may see, in small pages.
func (r *rig) leaves(by who, after string, size uint64) [][]byte {
	r.tb.Helper()
	var all [][]byte
	for {
		page := bytes.Split(bytes.TrimSuffix(r.do(by, "GET", "/audit?"+after+"limit=7", "").want(200, "").body, []byte("\n")), []byte("\n"))
		for _, line := range page {
			if len(line) == 0 {
				return all
			}
			var head struct {
				Seq uint64 `json:"seq"`
			}
			must(r.tb, json.Unmarshal(line, &head))
			if head.Seq >= size {
				return all
			}
			all = append(all, line)
			after = fmt.Sprintf("after=%d&", head.Seq)
		}
	}
}

// TestAuditorsSeeTheirTenant and operators all.
func TestAuditorsSeeTheirTenant(t *testing.T) {
	r := newRig(t)
	boss := r.tenant("acme")
	auditor := r.key(boss, "eye", "auditor")
	r.published(boss, "x")
	r.published(r.root, "x")
	mine := r.leaves(auditor, "", 1<<40)
	if len(mine) == 0 {
		t.Error("an auditor sees nothing")
	}
	for _, line := range mine {
		if !bytes.Contains(line, []byte(`"tenant":"acme"`)) {
			t.Errorf("an auditor of acme sees %s", line)
		}
	}
	if all := r.leaves(r.root, "", 1<<40); len(all) <= len(mine) {
		t.Errorf("an operator sees %d leaves, the auditor of one tenant %d", len(all), len(mine))
	}
}

// TestTimeline tells an object's life in order and in pages.
func TestTimeline(t *testing.T) {
	r := newRig(t)
	s := r.published(r.root, "x")
	r.do(r.root, "DELETE", "/objects/"+s.object, "").want(204, "")
	var types []string
	after := ""
	for {
		var page struct {
			Events []struct {
				Seq  uint64 `json:"seq"`
				Type string `json:"type"`
			} `json:"events"`
		}
		r.do(r.root, "GET", "/objects/"+s.object+"/events?"+after+"limit=2", "").want(200, "").into(&page)
		if len(page.Events) == 0 {
			break
		}
		for _, e := range page.Events {
			types = append(types, e.Type)
			after = fmt.Sprintf("after=%d&", e.Seq)
		}
	}
	want := "upload.created upload.receiving upload.received upload.finalized object.quarantined object.scanning object.verdict object.published object.deleted"
	if got := strings.Join(types, " "); got != want {
		t.Errorf("the timeline is %s\nnot %s", got, want)
	}
}
