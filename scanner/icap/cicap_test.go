package icap_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/scanner/clamd/clamdtest"
	"sallyport/scanner/icap"
)

// missing says how to get what startCICAP needs.
const missing = "no c-icap with virus_scan; get one with: apt-get install c-icap libc-icap-mod-virus-scan"

// cicap is a c-icap of its own, with its echo service and with virus_scan in front of a clamd of
// its own.
type cicap struct {
	clamd *clamdtest.Clamd

	t            *testing.T
	addr, folder string
	settings     []string
	cmd          *exec.Cmd     // nil while stopped
	done         chan struct{} // closed when cmd has ended
}

// startCICAP starts one. Settings are lines of c-icap.conf.
func startCICAP(t *testing.T, settings ...string) *cicap {
	t.Helper()
	modules, _ := filepath.Glob("/usr/lib/*/c_icap/virus_scan.so")
	if _, err := exec.LookPath("c-icap"); err != nil || len(modules) == 0 {
		if os.Getenv("SALLYPORT_TEST_REQUIRE") == "all" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	c := &cicap{clamd: clamdtest.Start(t), t: t}
	var err error
	if c.folder, err = os.MkdirTemp("", "c-icap-"); err != nil { // short, for its sockets
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Kill()
		_ = os.RemoveAll(c.folder)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.addr = listener.Addr().String()
	listener.Close()
	in := func(name string) string { return filepath.Join(c.folder, name) }
	c.settings = append([]string{
		"PidFile " + in("pid"), "CommandsSocket " + in("ctl"), "ServerLog " + in("server.log"), "AccessLog " + in("access.log"), "TmpDir " + c.folder,
		"Port " + c.addr, "StartServers 1", "MaxServers 1", "ThreadsPerChild 20",
		"ModulesDir " + filepath.Dir(modules[0]), "ServicesDir " + filepath.Dir(modules[0]),
		"TemplateDir /usr/share/c_icap/templates/", "LoadMagicFile /etc/c-icap/c-icap.magic",
		"Module common clamd_mod.so", "clamd_mod.ClamdSocket " + strings.TrimPrefix(c.clamd.Unix, "unix://"),
		"Service echo srv_echo.so", "Service antivirus_module virus_scan.so",
		"ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple",
		"ServiceAlias limited virus_scan?allow204=on&mode=simple",
		"virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE",
		"virus_scan.SendPercentData 5", "virus_scan.StartSendPercentDataAfter 2M",
	}, settings...)
	c.Start()
	return c
}

// Start starts it again after Kill, at the same address.
func (c *cicap) Start() {
	c.t.Helper()
	conf := filepath.Join(c.folder, "c-icap.conf")
	if err := os.WriteFile(conf, []byte(strings.Join(c.settings, "\n")+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(c.folder, "ctl")) // of a life that was killed
	var log bytes.Buffer
	cmd := exec.Command("c-icap", "-N", "-f", conf)
	cmd.Stdout, cmd.Stderr = &log, &log
	c.done = make(chan struct{})
	started := make(chan error, 1)
	go func(done chan struct{}) {
		defer close(done)
		// The child dies with the thread that made it: keep the thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ownGroup(cmd)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // killed, or it says why in the log
		}
	}(c.done)
	if err := <-started; err != nil {
		c.t.Fatal(err)
	}
	c.cmd = cmd
	e := engine(c.t, c.url("echo"), nil)
	for deadline := time.Now().Add(time.Minute); e.Ping(c.t.Context()) != nil; {
		select {
		case <-c.done:
			c.t.Fatalf("c-icap ended early:\n%s", log.String())
		default:
		}
		if time.Now().After(deadline) {
			c.t.Fatal("c-icap does not answer after a minute")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *cicap) url(service string) string { return fmt.Sprintf("icap://%s/%s", c.addr, service) }

// signal reaches the children, too, which do the work.
func (c *cicap) signal(s syscall.Signal) {
	if err := syscall.Kill(-c.cmd.Process.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		c.t.Error(err)
	}
}

// Kill ends it at once. It may be called again.
func (c *cicap) Kill() {
	if c.cmd != nil {
		c.signal(syscall.SIGKILL)
		<-c.done
		c.cmd = nil
	}
}

// engine returns one that is told soon that the service hangs.
func engine(t testing.TB, url string, change func(*icap.Config)) *icap.Engine {
	t.Helper()
	cfg := icap.Config{URL: url, Patience: 300 * time.Millisecond, Now: time.Now}
	if change != nil {
		change(&cfg)
	}
	e, err := icap.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
