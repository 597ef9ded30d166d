package e2e_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// testSDKJS runs a script on Node with @aws-sdk/client-s3 and what belongs to it
// from npm. The script judges for itself; it ends with the line "done".
func testSDKJS(t *testing.T, a account) {
	script, err := filepath.Abs(filepath.Join("testdata", "node", "client.cjs"))
	if err != nil {
		t.Fatal(err)
	}
	node := newTool(t, "node", "apt-get install nodejs, version 20 or later", "-e", "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)")
	node.env = append(a.variables(), "NODE_PATH="+nodeModules(t))
	node.prints([]string{"done"}, script)
}

// nodeModules is where "make clients" installs what the lock file names, outside
// of this tree.
func nodeModules(t *testing.T) string {
	t.Helper()
	wanted, err := os.ReadFile(filepath.Join("testdata", "node", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "sallyport", "node")
	installed, err := os.ReadFile(filepath.Join(dir, "installed.json"))
	if err != nil || !bytes.Equal(installed, wanted) {
		need(t, "@aws-sdk/client-s3 is missing, or another version; get it with: make clients")
	}
	return filepath.Join(dir, "node_modules")
}
