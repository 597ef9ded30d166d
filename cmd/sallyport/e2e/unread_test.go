package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// unreadSize is more than sockets buffer on the way.
const unreadSize = 50 << 20

// TestUnreadBody sends large bodies that are refused, without asking before: the
// answer arrives each time, whatever the client.
func TestUnreadBody(t *testing.T) {
	const rounds = 6
	s := serve(t, disk{})
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, make([]byte, unreadSize), 0o600); err != nil {
		t.Fatal(err)
	}
	long := s.root.begin(sessionSize) // its URL refuses 50 MB
	altered := s.root.begin(unreadSize)
	altered.Headers["x-amz-meta-more"] = "unsigned"
	for name, client := range map[string]func(t *testing.T, u *Session) (int, string){
		"go":   func(t *testing.T, u *Session) (int, string) { return s.putLarge(t, u) },
		"curl": func(t *testing.T, u *Session) (int, string) { return curlPut(t, u, file) },
		"node": func(t *testing.T, u *Session) (int, string) { return nodePut(t, u, file) },
	} {
		t.Run(name, func(t *testing.T) {
			s.in(t)
			for range rounds {
				if status, text := client(t, long); status != http.StatusBadRequest || !strings.Contains(text, "<Code>EntityTooLarge</Code>") {
					t.Errorf("too long: %d %s", status, text)
				}
				if status, text := client(t, altered); status != http.StatusForbidden || !strings.HasSuffix(strings.TrimSpace(text), "</Error>") {
					t.Errorf("altered: %d %s", status, text)
				}
			}
		})
	}
	long.mustPut(noise(1, sessionSize))
}

func (s *Server) putLarge(t *testing.T, u *Session) (int, string) {
	t.Helper()
	req, err := u.request(context.Background(), bytes.NewReader(make([]byte, unreadSize)), unreadSize)
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.do(req)
	if err != nil {
		t.Errorf("the answer was lost: %v", err)
	}
	return a.Status, string(a.Body)
}

func curlPut(t *testing.T, u *Session, file string) (int, string) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		need(t, "no curl; get one with: apt-get install curl")
	}
	args := []string{"-sS", "-w", "\n%{http_code}", "-T", file, "-H", "Expect:"}
	for name, value := range u.Headers {
		if name != "Content-Length" {
			args = append(args, "-H", name+": "+value)
		}
	}
	out, err := exec.Command("curl", append(args, u.PutURL)...).CombinedOutput()
	if err != nil {
		t.Errorf("curl: %v\n%s", err, out)
	}
	return lastNumber(t, string(out))
}

// nodeScript puts a file with Node's own HTTP client.
const nodeScript = `
const [file, url, headers] = process.argv.slice(1);
const req = require('http').request(url, {method: 'PUT', headers: JSON.parse(headers)}, (res) => {
  let text = '';
  res.setEncoding('utf8');
  res.on('data', (part) => { text += part; });
  res.on('end', () => { console.log(text + '\n' + res.statusCode); process.exit(0); });
});
req.on('error', (err) => { console.log(err.code + '\n0'); process.exit(0); });
require('fs').createReadStream(file).pipe(req);
`

func nodePut(t *testing.T, u *Session, file string) (int, string) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		need(t, "no node; get one with: apt-get install nodejs")
	}
	fields := []string{fmt.Sprintf(`"Content-Length": %d`, unreadSize)}
	for name, value := range u.Headers {
		if name != "Content-Length" {
			fields = append(fields, fmt.Sprintf("%q: %q", name, value))
		}
	}
	out, err := exec.Command("node", "-e", nodeScript, file, u.PutURL, "{"+strings.Join(fields, ",")+"}").CombinedOutput()
	if err != nil {
		t.Errorf("node: %v\n%s", err, out)
	}
	return lastNumber(t, string(out))
}

// lastNumber splits what a client printed into the answer and its status.
func lastNumber(t *testing.T, out string) (status int, text string) {
	t.Helper()
	out = strings.TrimSpace(out)
	i := strings.LastIndexByte(out, '\n')
	if _, err := fmt.Sscan(out[i+1:], &status); err != nil {
		t.Errorf("%v in %q", err, out)
	}
	return status, out[:max(i, 0)]
}
