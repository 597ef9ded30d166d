package control

import (
	"fmt"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
)

const plainText = "text/plain; charset=utf-8"

// readAudit answers with JSON lines, each exactly the bytes of a leaf: what is
// hashed into the tree is what is read here. An operator sees the whole log,
// an auditor the leaves of its tenant.
func readAudit(k *call) error {
	p, err := k.page()
	if err != nil {
		return err
	}
	from, err := k.following()
	if err != nil {
		return err
	}
	leaves, err := k.cfg.Pipeline.Audit(k.context(), k.actor, from, p.Limit)
	if err != nil {
		return err
	}
	var lines []byte
	for _, leaf := range leaves {
		lines = append(append(lines, leaf.Bytes...), '\n')
	}
	k.render(fasthttp.StatusOK, "application/x-ndjson", lines)
	return nil
}

func auditCheckpoint(k *call) error {
	head, err := k.cfg.Pipeline.Checkpoint(k.context(), k.actor)
	if err != nil {
		return err
	}
	k.render(fasthttp.StatusOK, plainText, head)
	return nil
}

// auditKey is for anybody with a credential: it is a public key.
func auditKey(k *call) error {
	k.render(fasthttp.StatusOK, plainText, []byte(k.cfg.Ledger.VerifierKey()+"\n"))
	return nil
}

func auditProof(k *call) error {
	seq, size, err := k.numbers("seq", "size")
	if err != nil {
		return err
	}
	proof, err := k.cfg.Pipeline.AuditProof(k.context(), k.actor, seq, size)
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, struct {
		Seq    uint64          `json:"seq"`
		Size   uint64          `json:"size"`
		Hashes []registry.Hash `json:"hashes"` // base64
	}{seq, size, append([]registry.Hash{}, proof...)})
}

func auditConsistency(k *call) error {
	old, size, err := k.numbers("old", "size")
	if err != nil {
		return err
	}
	proof, err := k.cfg.Pipeline.AuditConsistency(k.context(), k.actor, old, size)
	if err != nil {
		return err
	}
	return k.json(fasthttp.StatusOK, struct {
		Old    uint64          `json:"old"`
		Size   uint64          `json:"size"`
		Hashes []registry.Hash `json:"hashes"` // base64
	}{old, size, append([]registry.Hash{}, proof...)})
}

// numbers reads two parameters that both must be there.
func (k *call) numbers(first, second string) (a, b uint64, err error) {
	a, haveA, err := k.number(first)
	if err != nil {
		return 0, 0, err
	}
	b, haveB, err := k.number(second)
	if err == nil && !(haveA && haveB) {
		err = fmt.Errorf("%w: %s and %s are needed", errInvalid, first, second)
	}
	return a, b, err
}
