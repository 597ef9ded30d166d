package e2e_test

import (
	"fmt"
	"path/filepath"
	"testing"
)

// testBoto3 runs a script with the boto3 of the system's Python. The script
// judges for itself; it ends with the line "done".
func testBoto3(t *testing.T, a account) {
	script, err := filepath.Abs(filepath.Join("testdata", "boto3_client.py"))
	if err != nil {
		t.Fatal(err)
	}
	python := newTool(t, "python3", "apt-get install python3-boto3", "-c", "import boto3")
	python.env = a.variables()
	python.prints([]string{"done"}, script)
}

// variables tell a script of ours where to go and who it is.
func (a account) variables() []string {
	return []string{
		"ENDPOINT=" + a.endpoint, "REGION=" + a.region, "ACCESS=" + a.access, "SECRET=" + a.secret,
		"CA=" + a.ca, "TUNNEL=" + a.tunnel, fmt.Sprint("VIRTUAL=", a.virtual), "AWS_EC2_METADATA_DISABLED=true",
	}
}
