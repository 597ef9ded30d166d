package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "sallyport"

// layers is which of our packages each may import; a row ending in /* is for
// everything below. A package without a row may not exist.
var layers = map[string][]string{
	"sigv4":                   {},
	"web":                     {},
	"registry":                {"registry/kv"},
	"registry/kv":             {},
	"registry/kv/kvtest":      {"registry/kv"},
	"registry/kv/boltkv":      {"registry/kv"},
	"registry/blob":           {},
	"registry/blob/blobtest":  {"registry/blob"},
	"registry/blob/diskblob":  {"registry/blob"},
	"registry/blob/s3blob":    {"registry/blob"},
	"registry/policy":         {"registry"},
	"registry/pipeline":       {"registry", "registry/blob", "registry/policy"},
	"scanner":                 {"registry"},
	"scanner/*":               {"registry", "scanner"},
	"scanner/clamd/clamdtest": {"scanner/clamd"},
	"server":                  {},
	"server/auth":             {"registry", "sigv4"},
	"server/s3api":            {"registry", "registry/policy", "registry/pipeline", "sigv4", "server", "server/auth"},
	"server/control":          {"registry", "registry/policy", "registry/pipeline", "sigv4", "server", "server/auth", "web"},
	"server/hooks":            {"registry", "registry/policy"},
	"cmd/sallyport":           {"*"},
	"cmd/sallyport/*":         {"*"},
}

// third is where third parties may be used outside tests: a module path and the
// packages. Everything not named here is used nowhere.
var third = map[string][]string{
	"golang.org/x/mod/sumdb":              {"registry"},
	"go.etcd.io/bbolt":                    {"registry/kv/boltkv"},
	"github.com/minio/minio-go/v7":        {"registry/blob/s3blob"},
	"github.com/gofiber/fiber/v2":         {"server", "server/auth", "server/s3api", "server/control"},
	"github.com/valyala/fasthttp":         {"server", "server/auth", "server/s3api", "server/control"},
	"github.com/spf13/cobra":              {"cmd/sallyport"},
	"github.com/spf13/pflag":              {"cmd/sallyport"},
	"github.com/knadh/koanf":              {"cmd/sallyport/config"},
	"golang.org/x/term":                   {"cmd/sallyport"},
	"github.com/gabriel-vasile/mimetype":  {"scanner/inspect"},
	"github.com/bodgit/sevenzip":          {"scanner/archive"},
	"github.com/ulikunitz/xz":             {"scanner/archive"},
	"github.com/landlock-lsm/go-landlock": {"scanner/sandbox"},
	"github.com/minio/crc64nvme":          {"registry/pipeline"},
	"github.com/minio/md5-simd":           {"registry/pipeline"},
	"golang.org/x/image":                  {"scanner/image"},

	"github.com/prometheus":         {"*"},
	"github.com/oklog/ulid/v2":      {"*"},
	"github.com/klauspost/compress": {"*"},
	"golang.org/x/sync":             {"*"},
	"golang.org/x/sys":              {"*"},
}

// TestLayering walks the whole tree, so that a package is judged whether or not
// anything imports it. Test files are free: they may need anything to be sure.
func TestLayering(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "data") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		relative, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(relative)
		seen[pkg] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if why := judge(pkg, imported); why != "" {
				t.Errorf("%s/%s imports %s: %s", pkg, name, imported, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 8 {
		t.Errorf("only %d packages were found under %s", len(seen), root)
	}
}

// judge returns what is wrong with an import, "" if nothing.
func judge(pkg, imported string) string {
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		allowed, ok := row(pkg)
		switch {
		case !ok:
			return "the package has no row in the table"
		case !slices.Contains(allowed, "*") && !slices.Contains(allowed, ours):
			return "not in its row of the table"
		}
		return ""
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		if pkg == "sigv4" && strings.HasPrefix(imported, "net/http") {
			return "sigv4 knows no net/http"
		}
		return ""
	}
	for party, rooms := range third {
		if imported != party && !strings.HasPrefix(imported, party+"/") {
			continue
		}
		if !slices.Contains(rooms, "*") && !slices.Contains(rooms, pkg) {
			return "belongs in " + strings.Join(rooms, ", ")
		}
		return ""
	}
	return "no room is named for it"
}

func row(pkg string) ([]string, bool) {
	if allowed, ok := layers[pkg]; ok {
		return allowed, true
	}
	allowed, ok := layers[path.Dir(pkg)+"/*"]
	return allowed, ok
}

// TestLayeringJudge checks that the judge above can say no.
func TestLayeringJudge(t *testing.T) {
	tests := []struct {
		pkg, imported string
		good          bool
	}{
		{"registry", "sallyport/registry/kv", true},
		{"registry", "sallyport/registry/kv/boltkv", false},
		{"registry/policy", "sallyport/registry/pipeline", false},
		{"server", "sallyport/registry", false},
		{"scanner/clamd", "sallyport/scanner", true},
		{"scanner/clamd", "sallyport/server", false},
		{"helpers", "sallyport/registry", false},
		{"cmd/sallyport", "sallyport/server/control", true},
		{"registry", "go.etcd.io/bbolt", false},
		{"registry/kv/boltkv", "go.etcd.io/bbolt", true},
		{"registry/kv/boltkv", "go.etcd.io/bbolt/errors", true},
		{"registry/pipeline", "github.com/gofiber/fiber/v2", false},
		{"registry", "golang.org/x/sync/errgroup", true},
		{"server", "example.org/new/thing", false},
		{"sigv4", "net/http", false},
		{"sigv4", "crypto/hmac", true},
	}
	for _, test := range tests {
		if why := judge(test.pkg, test.imported); (why == "") != test.good {
			t.Errorf("%s importing %s: %q", test.pkg, test.imported, why)
		}
	}
}
