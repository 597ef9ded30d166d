package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxLeaf bounds one line of the audit log, in bytes.
const maxLeaf = 1 << 20

// AuditLeaf is one line of the audit log as it was hashed, without its end of
// line.
type AuditLeaf struct {
	Seq  uint64
	Line []byte
}

// Audit calls fn for each leaf the caller may see with from <= Seq < to, in
// order. It asks for more while pages come back full of something; a page of
// nothing is the end.
func (c *Client) Audit(ctx context.Context, from, to uint64, fn func(AuditLeaf) error) error {
	for from < to {
		next, err := c.auditPage(ctx, from, to, fn)
		if err != nil || next == from {
			return err
		}
		from = next
	}
	return nil
}

// auditPage returns where the next page begins; from again means the end.
func (c *Client) auditPage(ctx context.Context, from, to uint64, fn func(AuditLeaf) error) (uint64, error) {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if from > 0 {
		query.Set("after", strconv.FormatUint(from-1, 10))
	}
	answer, err := c.exchange(ctx, http.MethodGet, "/audit", query, nil)
	if err != nil {
		return from, err
	}
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 64<<10), maxLeaf)
	for lines.Scan() {
		var head struct {
			Seq *uint64 `json:"seq"`
		}
		if err := json.Unmarshal(lines.Bytes(), &head); err != nil || head.Seq == nil || *head.Seq < from {
			return from, fmt.Errorf("the audit log's line after %d is not the one that belongs there", from)
		}
		if *head.Seq >= to {
			return to, nil
		}
		if err := fn(AuditLeaf{Seq: *head.Seq, Line: lines.Bytes()}); err != nil {
			return from, err
		}
		from = *head.Seq + 1
	}
	return from, lines.Err()
}

// AuditCheckpoint returns the log's newest head, a signed note.
func (c *Client) AuditCheckpoint(ctx context.Context) ([]byte, error) {
	return c.text(ctx, "/audit/checkpoint")
}

// AuditKey returns the key that the log's heads are verified with. Asking the
// server whose log it is proves little: keep what it said the first time.
func (c *Client) AuditKey(ctx context.Context) (string, error) {
	key, err := c.text(ctx, "/audit/key")
	return strings.TrimSpace(string(key)), err
}

// AuditProof returns the hashes that prove leaf seq to be in the tree of size
// leaves.
func (c *Client) AuditProof(ctx context.Context, seq, size uint64) ([][32]byte, error) {
	return c.hashes(ctx, "/audit/proof", url.Values{"seq": {strconv.FormatUint(seq, 10)}, "size": {strconv.FormatUint(size, 10)}})
}

// AuditConsistency returns the hashes that prove the tree of size leaves to begin
// with the tree of old ones.
func (c *Client) AuditConsistency(ctx context.Context, old, size uint64) ([][32]byte, error) {
	return c.hashes(ctx, "/audit/consistency", url.Values{"old": {strconv.FormatUint(old, 10)}, "size": {strconv.FormatUint(size, 10)}})
}

func (c *Client) hashes(ctx context.Context, path string, query url.Values) ([][32]byte, error) {
	var answer struct {
		Hashes [][]byte `json:"hashes"`
	}
	if err := c.call(ctx, http.MethodGet, path, query, nil, &answer); err != nil {
		return nil, err
	}
	proof := make([][32]byte, len(answer.Hashes))
	for i, hash := range answer.Hashes {
		if len(hash) != len(proof[i]) {
			return nil, fmt.Errorf("hash %d of the proof has %d bytes", i, len(hash))
		}
		copy(proof[i][:], hash)
	}
	return proof, nil
}

func (c *Client) text(ctx context.Context, path string) ([]byte, error) {
	answer, err := c.exchange(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	return io.ReadAll(io.LimitReader(answer.Body, maxLeaf))
}
