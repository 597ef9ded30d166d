package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/client"
	"sallyport/registry"
)

// The files of an export.
const (
	exportLeaves     = "audit.jsonl"
	exportCheckpoint = "checkpoint"
	exportKey        = "key"
)

// auditExport is a log on disk.
type auditExport struct {
	auditHead
	dir    string
	leaves uint64 // how many there are; fewer than size if others were not ours to see
}

// exportAudit writes the leaves that the newest head covers. The head comes
// first, so that leaves which are added meanwhile are not in the way.
func exportAudit(ctx context.Context, c *client.Client, dir string) (x auditExport, err error) {
	x.dir = dir
	if x.auditHead, err = fetchHead(ctx, c); err != nil {
		return x, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return x, err
	}
	if err := os.WriteFile(filepath.Join(dir, exportCheckpoint), x.checkpoint, 0o600); err != nil {
		return x, err
	}
	if err := os.WriteFile(filepath.Join(dir, exportKey), []byte(x.key+"\n"), 0o600); err != nil {
		return x, err
	}
	f, err := os.OpenFile(filepath.Join(dir, exportLeaves), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return x, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	err = c.Audit(ctx, 0, x.size, func(leaf client.AuditLeaf) error {
		x.leaves++
		if _, err := w.Write(leaf.Line); err != nil {
			return err
		}
		return w.WriteByte('\n')
	})
	return x, errors.Join(err, w.Flush())
}

// openExport reads an export's head.
func openExport(dir string) (x auditExport, err error) {
	x.dir = dir
	if x.checkpoint, err = os.ReadFile(filepath.Join(dir, exportCheckpoint)); err != nil {
		return x, err
	}
	key, err := os.ReadFile(filepath.Join(dir, exportKey))
	if err != nil {
		return x, err
	}
	x.key = strings.TrimSpace(string(key))
	head, err := registry.OpenCheckpoint(x.key, x.checkpoint)
	x.size, x.leaves = head.Size, head.Size
	return x, err
}

// auditVerifier is the audit verify command's flags.
type auditVerifier struct {
	*app
	key, older string
}

func (v *auditVerifier) run(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		x, err := openExport(args[0])
		if err != nil {
			return err
		}
		return v.verify(context.Background(), nil, x)
	}
	return v.remote(func(ctx context.Context, c *client.Client, _ []string) (err error) {
		parent, err := os.MkdirTemp("", "sallyport-audit-*")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(parent)) }()
		x, err := exportAudit(ctx, c, filepath.Join(parent, "export"))
		if err != nil {
			return err
		}
		return v.verify(ctx, c, x)
	})(cmd, args)
}

// verify checks an export; c, which may be nil, is where single proofs are asked
// for when the leaves are only some of the log's.
func (v *auditVerifier) verify(ctx context.Context, c *client.Client, x auditExport) error {
	if v.key != "" {
		x.key = v.key
	}
	var err error
	if x.leaves == x.size || c == nil {
		err = x.verifyAll()
	} else {
		err = x.verifyEach(ctx, c)
	}
	if err == nil && v.older != "" {
		err = x.verifyBeginning(ctx, c, v.older)
	}
	if err != nil {
		return err
	}
	if v.json {
		return v.writeJSON(map[string]any{"verified": true, "leaves": x.leaves, "size": x.size, "key": x.key})
	}
	if x.leaves == x.size {
		v.printf("verified: all %d leaves are those that were signed for\n", x.size)
	} else {
		v.printf("verified: each of your %d leaves is in the signed log of %d\n", x.leaves, x.size)
	}
	v.printf("key: %s\n", x.key)
	return nil
}

func (x auditExport) verifyAll() error {
	f, err := os.Open(filepath.Join(x.dir, exportLeaves))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = registry.VerifyExport(x.key, x.checkpoint, f)
	return err
}

// verifyBeginning checks that the log still begins as an earlier head said: by its
// leaves, or, where others are not ours to see, by a proof of the server's.
func (x auditExport) verifyBeginning(ctx context.Context, c *client.Client, path string) error {
	older, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, err := registry.OpenCheckpoint(x.key, older)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if x.leaves != x.size {
		return x.proveBeginning(ctx, c, older, head.Size)
	}
	f, err := os.Open(filepath.Join(x.dir, exportLeaves))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = registry.VerifyExport(x.key, older, &firstLines{r: bufio.NewReader(f), left: head.Size})
	return err
}

func (x auditExport) proveBeginning(ctx context.Context, c *client.Client, older []byte, size uint64) error {
	var proof []registry.Hash
	if size > 0 && size <= x.size { // of any other nothing can be proved
		hashes, err := c.AuditConsistency(ctx, size, x.size)
		if err != nil {
			return err
		}
		for _, hash := range hashes {
			proof = append(proof, hash)
		}
	}
	return registry.VerifyExtension(x.key, older, x.checkpoint, proof)
}

// verifyEach asks for one proof per leaf.
func (x auditExport) verifyEach(ctx context.Context, c *client.Client) error {
	f, err := os.Open(filepath.Join(x.dir, exportLeaves))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		leaf := bytes.TrimSuffix(line, []byte{'\n'})
		event, err := registry.Leaf{Bytes: leaf}.Event()
		if err != nil {
			return err
		}
		hashes, err := c.AuditProof(ctx, event.Seq, x.size)
		if err != nil {
			return err
		}
		proof := make([]registry.Hash, len(hashes))
		for i, hash := range hashes {
			proof[i] = hash
		}
		if err := registry.VerifyInclusion(x.key, x.checkpoint, leaf, event.Seq, proof); err != nil {
			return err
		}
	}
}

// firstLines reads the first lines of r.
type firstLines struct {
	r    *bufio.Reader
	left uint64
	line []byte
}

func (l *firstLines) Read(p []byte) (int, error) {
	for len(l.line) == 0 {
		if l.left == 0 {
			return 0, io.EOF
		}
		l.left--
		var err error
		if l.line, err = l.r.ReadBytes('\n'); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.line)
	l.line = l.line[n:]
	return n, nil
}
