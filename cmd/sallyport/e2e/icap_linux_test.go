package e2e_test

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"sallyport/scanner/clamd/clamdtest"
)

// startICAP starts a c-icap whose virus_scan asks that clamd, and returns the URL of its
// service.
func startICAP(t *testing.T, daemon *clamdtest.Clamd) string {
	t.Helper()
	modules, _ := filepath.Glob("/usr/lib/*/c_icap/virus_scan.so")
	if _, err := exec.LookPath("c-icap"); err != nil || len(modules) == 0 {
		need(t, "no c-icap with virus_scan; get one with: apt-get install c-icap libc-icap-mod-virus-scan")
	}
	folder, err := os.MkdirTemp("", "c-icap-") // short, for its sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := listener.Addr().String()
	listener.Close()
	in := func(name string) string { return filepath.Join(folder, name) }
	settings := []string{
		"PidFile " + in("pid"), "CommandsSocket " + in("ctl"), "ServerLog " + in("server.log"), "AccessLog " + in("access.log"), "TmpDir " + folder,
		"Port " + at, "StartServers 1", "MaxServers 1", "ThreadsPerChild 20",
		"ModulesDir " + filepath.Dir(modules[0]), "ServicesDir " + filepath.Dir(modules[0]),
		"TemplateDir /usr/share/c_icap/templates/", "LoadMagicFile /etc/c-icap/c-icap.magic",
		"Module common clamd_mod.so", "clamd_mod.ClamdSocket " + strings.TrimPrefix(daemon.Unix, "unix://"),
		"Service antivirus_module virus_scan.so", "ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple",
		"virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE",
	}
	if err := os.WriteFile(in("conf"), []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	cmd := exec.Command("c-icap", "-N", "-f", in("conf"))
	cmd.Stdout, cmd.Stderr = &log, &log
	// Its children, which do the work, are ended with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the child dies with the thread that made it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed, or it says why in the log
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // or it has ended
		<-done
	})
	eventually(t, "c-icap listens", func() bool {
		select {
		case <-done:
			t.Fatalf("c-icap ended early:\n%s", log.String())
		default:
		}
		conn, err := net.Dial("tcp", at)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return "icap://" + at + "/avscan"
}

// TestICAP has a real ICAP service inspect what comes, in the queue and on its way.
func TestICAP(t *testing.T) {
	service := startICAP(t, clamdtest.Start(t))
	s := serve(t, disk{}, "SCANNER_ICAP_URL="+service)
	s.root.must("PUT", "/profiles/direct", map[string]any{"intake": "direct"}, nil)
	note, eicar := file{"note.txt", []byte("Nothing of note.\n")}, file{"eicar.txt", clamdtest.EICAR()}
	for _, test := range []struct {
		name     string
		content  []byte
		infected bool
	}{
		{"eicar.txt", eicar.content, true},
		{"nested.zip", zipOf(t, note, file{"a.zip", zipOf(t, eicar)}), true},
		{"note.txt", note.content, false},
		{"notes.zip", zipOf(t, note, file{"more.tar.gz", tarGzOf(t, note)}), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.in(t)
			id, o := s.root.send(test.name, test.content)
			key := "/direct/" + test.name
			a, err := s.root.object("PUT", key, "", test.content, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.infected {
				if o.State != "rejected" || o.Verdict.Result != "infected" {
					t.Errorf("the session's object is %s", o)
				}
				if !a.is(http.StatusBadRequest, "MalwareDetected") {
					t.Errorf("PUT: %s", a)
				}
				s.absent(key)
				return
			}
			if o.State != "published" || !o.heard("icap") || a.Status != http.StatusOK {
				t.Fatalf("the session's object is %s; PUT: %s", o, a)
			}
			s.mustGet(s.root.downloadURL(id).GetURL, test.content)
		})
	}
}
