package control

import (
	"fmt"

	"github.com/valyala/fasthttp"

	"sallyport/registry"
	"sallyport/server"
)

// readAudit answers with JSON lines, each exactly the bytes of a leaf: what is
// hashed into the tree is what is read here. An operator sees the whole log,
// an auditor the leaves of its tenant.
func readAudit(k *call) error {
	q, err := k.query("after", "limit")
	if err != nil {
		return err
	}
	p, err := page(q)
	if err != nil {
		return err
	}
	from, given, err := number(q, "after")
	if err != nil {
		return err
	}
	if given {
		from++
	}
	leaves, err := k.cfg.Pipeline.Audit(k.context(), k.actor, from, p.Limit)
	if err != nil {
		return err
	}
	var lines []byte
	for _, leaf := range leaves {
		lines = append(append(lines, leaf.Bytes...), '\n')
	}
	return k.text("application/x-ndjson", lines)
}

func auditCheckpoint(k *call) error {
	head, err := k.cfg.Pipeline.Checkpoint(k.context(), k.actor)
	if err != nil {
		return err
	}
	return k.text("text/plain; charset=utf-8", head)
}

// auditKey is for anybody with a credential: it is a public key.
func auditKey(k *call) error {
	return k.text("text/plain; charset=utf-8", []byte(k.cfg.Ledger.VerifierKey()+"\n"))
}

func auditProof(k *call) error {
	q, err := k.query("seq", "size")
	if err != nil {
		return err
	}
	seq, haveSeq, err := number(q, "seq")
	if err != nil {
		return err
	}
	size, haveSize, err := number(q, "size")
	if err != nil {
		return err
	}
	if !haveSeq || !haveSize || seq >= size {
		return fmt.Errorf("%w: seq and size are needed, and seq is below size", errInvalid)
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

// text renders something that is not JSON.
func (k *call) text(contentType string, body []byte) error {
	k.ctx.SetContentType(contentType)
	if k.ctx.IsHead() {
		server.SendHead(k.c, int64(len(body)))
		return nil
	}
	k.ctx.SetBody(body)
	return nil
}
