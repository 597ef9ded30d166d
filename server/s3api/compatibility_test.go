package s3api_test

import (
	"bufio"
	"os"
	"regexp"
	"slices"
	"testing"

	"sallyport/server/s3api"
)

// TestCompatibilityPage holds deploy/docs/s3.md against the routes: each operation
// stands there once, and nothing is claimed that is not there.
func TestCompatibilityPage(t *testing.T) {
	f, err := os.Open("../../deploy/docs/s3.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	row := regexp.MustCompile(`^\| ([A-Za-z0-9]+) \| (supported|refused|not offered) \|`)
	page := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		m := row.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		if page[m[1]] != "" {
			t.Errorf("%s stands there twice", m[1])
		}
		page[m[1]] = m[2]
	}
	offered, absent := s3api.Operations()
	// One route each stands for two operations.
	offered = append(offered, "ListObjectsV2")
	for _, op := range offered {
		if page[op] != "supported" && page[op] != "refused" {
			t.Errorf("%s is there, and the page says %q", op, page[op])
		}
	}
	for _, op := range absent {
		if page[op] != "not offered" {
			t.Errorf("%s is not there, and the page says %q", op, page[op])
		}
	}
	for op, state := range page {
		if state != "not offered" && !slices.Contains(offered, op) {
			t.Errorf("%s is %s, and there is no such route", op, state)
		}
	}
	if refused := page["DeletePublicAccessBlock"]; refused != "refused" {
		t.Errorf("DeletePublicAccessBlock is %s", refused)
	}
}
