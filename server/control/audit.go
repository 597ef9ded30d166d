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
	seq, haveSeq, err := k.number("seq")
	if err != nil {
		return err
	}
	size, haveSize, err := k.number("size")
	if err != nil {
		return err
	}
	if !haveSeq || !haveSize {
		return fmt.Errorf("%w: seq and size are needed", errInvalid)
	}
	proof, err := k.cfg.Pipeline.AuditProof(k.context(), k.actor, seq, size)
	if err != nil {
		return err
	}
	out := struct {
		Seq    uint64          `json:"seq"`
		Size   uint64          `json:"size"`
		Hashes []registry.Hash `json:"hashes"` // base64
	}{seq, size, proof}
	if out.Hashes == nil {
		out.Hashes = []registry.Hash{}
	}
	return k.json(fasthttp.StatusOK, out)
}
