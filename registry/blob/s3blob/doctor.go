package s3blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"sallyport/registry/blob"
)

// Doctor implements blob.Doctor: the bucket answers, strangers can neither
// read, list nor write it, and nothing in it keeps or removes objects on its
// own: with versioning a deleted blob would stay, with an expiry rule a blob
// would go that the ledger still needs.
func (s *Store) Doctor(ctx context.Context) []blob.Finding {
	reach := blob.Finding{Check: "bucket answers"}
	if err := s.Check(ctx); err != nil {
		reach.Problem = err.Error()
		return []blob.Finding{reach} // nothing else could be told
	}
	probe := blob.Key("doctor/" + rand.Text())
	store := blob.Finding{Check: "bucket stores, returns and deletes"}
	defer func() { _ = s.Delete(context.WithoutCancel(ctx), probe) }()
	if err := s.roundTrip(ctx, probe); err != nil {
		store.Problem = err.Error()
	}
	findings := []blob.Finding{reach, store}
	for _, row := range []struct{ check, method, path string }{
		{"strangers cannot read", http.MethodGet, "/" + s.object(probe)},
		{"strangers cannot list", http.MethodGet, "/?list-type=2&max-keys=1"},
		{"strangers cannot write", http.MethodPut, "/" + s.object(probe) + "-stranger"},
	} {
		findings = append(findings, blob.Finding{Check: row.check, Problem: s.stranger(ctx, row.method, row.path)})
	}
	_ = s.Delete(ctx, probe+"-stranger") // there only if a stranger could write
	return append(findings,
		blob.Finding{Check: "versioning is off", Problem: s.versioning(ctx)},
		blob.Finding{Check: "no expiry rules", Problem: s.expiry(ctx)})
}

// roundTrip writes and reads a probe.
func (s *Store) roundTrip(ctx context.Context, key blob.Key) error {
	const text = "sallyport doctor"
	if _, err := s.Put(ctx, key, strings.NewReader(text), int64(len(text))); err != nil {
		return err
	}
	r, err := s.Open(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, []byte(text)) {
		err = blob.ErrCorrupt
	}
	return err
}

// stranger sends a request without credentials and returns what is wrong if it
// is not refused.
func (s *Store) stranger(ctx context.Context, method, path string) string {
	call, cancel := s.limited(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(call, method, s.endpoint.Scheme+"://"+s.endpoint.Host+"/"+s.bucket+path, nil)
	if err != nil {
		return "cannot ask: malformed endpoint or bucket"
	}
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		return "cannot ask: " + transportFault(err)
	}
	resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized:
		return ""
	case resp.StatusCode < 300:
		return "the bucket is open to everybody: remove its anonymous policy and public ACL"
	}
	return fmt.Sprintf("cannot tell: a request without credentials was answered %d instead of 403", resp.StatusCode)
}

// versioning returns what is wrong with the bucket's versioning.
func (s *Store) versioning(ctx context.Context) string {
	call, cancel := s.limited(ctx)
	defer cancel()
	cfg, err := s.core.GetBucketVersioning(call, s.bucket)
	switch {
	case notImplemented(err):
		return ""
	case err != nil:
		return "cannot tell: " + failed(ctx, "versioning", err).Error()
	case cfg.Enabled():
		return "deleted blobs would stay as old versions: suspend versioning"
	}
	return ""
}

// expiry returns what is wrong with the bucket's lifecycle rules.
func (s *Store) expiry(ctx context.Context) string {
	call, cancel := s.limited(ctx)
	defer cancel()
	cfg, err := s.core.GetBucketLifecycle(call, s.bucket)
	switch {
	case notImplemented(err) || minio.ToErrorResponse(err).Code == "NoSuchLifecycleConfiguration":
		return ""
	case err != nil:
		return "cannot tell: " + failed(ctx, "lifecycle", err).Error()
	}
	for _, rule := range cfg.Rules {
		if strings.EqualFold(rule.Status, "Enabled") && touches(rule, s.prefix) && removes(rule) {
			return "a lifecycle rule expires or moves away blobs that are still in use: remove it"
		}
	}
	return ""
}

// touches reports whether a rule can apply to objects under prefix. Tags and
// sizes in its filter are no protection.
func touches(rule lifecycle.Rule, prefix string) bool {
	of := rule.Prefix
	for _, p := range []string{rule.RuleFilter.Prefix, rule.RuleFilter.And.Prefix} {
		if p != "" {
			of = p
		}
	}
	return strings.HasPrefix(of, prefix) || strings.HasPrefix(prefix, of)
}

// removes reports whether a rule takes current objects away. Cleaning up
// unfinished multipart uploads and delete markers is welcome.
func removes(rule lifecycle.Rule) bool {
	return !rule.Expiration.IsDaysNull() || !rule.Expiration.IsDateNull() || rule.Expiration.DeleteAll.IsEnabled() ||
		rule.AllVersionsExpiration.Days > 0 || !rule.Transition.IsNull()
}

func notImplemented(err error) bool {
	return err != nil && minio.ToErrorResponse(err).StatusCode == http.StatusNotImplemented
}
