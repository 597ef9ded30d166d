package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestServeLife(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	begin := time.Now()
	s := serve(t, data, nil)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("serves after %s", took)
	}
	first := s.root()
	secret := strings.TrimPrefix(first[2], "SALLYPORT_SECRET_KEY=")
	for name, mode := range map[string]os.FileMode{
		".": 0o700, rootKeyFile: 0o600, rootCredentialsFile: 0o600, ledgerFile: 0o600, endpointsFile: 0o600,
	} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if r := sallyport(t, nil, "serve", "--data", data); r.code != 1 || !strings.Contains(r.stderr, "in use by another") {
		t.Errorf("a second server on the same data: %+v", r)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("SIGTERM ends it with %d", code)
	}
	welcome := s.stdout.String()
	accessKey := strings.TrimPrefix(first[1], "SALLYPORT_ACCESS_KEY=")
	if !strings.Contains(welcome, accessKey) || !strings.Contains(welcome, filepath.Join(data, rootCredentialsFile)) {
		t.Errorf("access key and file are not shown:\n%s", welcome)
	}
	if strings.Contains(welcome+s.stderr.String(), secret) {
		t.Error("the secret is shown where nobody asked for it")
	}
	if _, err := os.Stat(filepath.Join(data, endpointsFile)); !os.IsNotExist(err) {
		t.Errorf("endpoints of a stopped server: %v", err)
	}

	again := serve(t, data, nil, "--show-credentials")
	if second := again.root(); second[1] != first[1] || second[2] != first[2] {
		t.Error("the second start has another root key")
	}
	again.stop()
	if !strings.Contains(again.stdout.String(), secret) {
		t.Error("--show-credentials does not show the secret")
	}

	// The file may be taken away once it was read.
	if err := os.Remove(filepath.Join(data, rootCredentialsFile)); err != nil {
		t.Fatal(err)
	}
	if code := serve(t, data, nil).stop(); code != 0 {
		t.Errorf("without its credentials file it ends with %d", code)
	}
	if _, err := os.Stat(filepath.Join(data, rootCredentialsFile)); !os.IsNotExist(err) {
		t.Error("credentials were made anew")
	}
}

func TestPresetRootKey(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	preset := func(access, secret string) []string {
		return []string{"SALLYPORT_ROOT_ACCESS_KEY=" + access, "SALLYPORT_ROOT_SECRET_KEY=" + secret}
	}
	s := serve(t, data, preset("SPPRESETKEY000000000", "a-preset-secret"), "--show-credentials")
	s.stop()
	if strings.Contains(s.stdout.String()+s.stderr.String(), "a-preset-secret") {
		t.Error("the preset secret is shown")
	}
	if _, err := os.Stat(filepath.Join(data, rootCredentialsFile)); !os.IsNotExist(err) {
		t.Error("preset credentials were written to a file")
	}
	for name, env := range map[string][]string{"another secret": preset("SPPRESETKEY000000000", "another-secret"), "another key": preset("SPPRESETKEY000000001", "a-preset-secret")} {
		r := sallyport(t, env, "serve", "--data", data)
		if r.code != 1 || !strings.Contains(r.stderr, "SALLYPORT_ROOT_ACCESS_KEY") || !strings.Contains(r.stderr, "first start") {
			t.Errorf("%s: %+v", name, r)
		}
		if strings.Contains(r.stderr, "another-secret") {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
	for name, env := range map[string][]string{"the same": preset("SPPRESETKEY000000000", "a-preset-secret"), "none": nil} {
		if code := serve(t, data, env).stop(); code != 0 {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
}

func TestServeRefusesToStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name    string
		env     []string
		args    []string
		prepare func(t *testing.T, data string)
		want    string
	}{
		{name: "unknown variable", env: []string{"SALLYPORT_S3_ADR=:1"}, want: "SALLYPORT_S3_ADR: unknown environment variable"},
		{name: "bad value", env: []string{"SALLYPORT_LOG_LEVEL=loud"}, want: "SALLYPORT_LOG_LEVEL"},
		{name: "unknown flag", args: []string{"--s3-adr", ":1"}, want: "--s3-adr"},
		{name: "bad flag", args: []string{"--uploads-put-url-ttl", "1h"}, want: "--uploads-put-url-ttl: 1h is not between"},
		{name: "no configuration file", args: []string{"--config", "absent.yaml"}, want: "absent.yaml"},
		{name: "data open to others", prepare: func(t *testing.T, data string) {
			if err := os.Mkdir(data, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(data, 0o755); err != nil {
				t.Fatal(err)
			}
		}, want: "chmod 700"},
		{name: "root key file is missing", args: []string{"--root-key-file", "absent.key"}, want: "absent.key"},
		{name: "root key of an old ledger is missing", prepare: func(t *testing.T, data string) {
			serve(t, data, nil).stop()
			if err := os.Remove(filepath.Join(data, rootKeyFile)); err != nil {
				t.Fatal(err)
			}
		}, want: rootKeyFile},
		{name: "certificate is missing", args: []string{"--s3-tls-cert", "absent.pem", "--s3-tls-key", "absent.key"}, want: "absent.pem"},
		{name: "port is taken", args: []string{"--ops-addr", taken.Addr().String()}, want: "address already in use"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			if test.prepare != nil {
				test.prepare(t, data)
			}
			args := append([]string{"serve", "--data", data, "--s3-addr", "127.0.0.1:0", "--control-addr", "127.0.0.1:0"}, test.args...)
			r := sallyport(t, test.env, args...)
			if r.code != 1 || !strings.Contains(r.stderr, test.want) {
				t.Errorf("exit code %d, want 1 and %q in\n%s", r.code, test.want, r.stderr)
			}
		})
	}
}

// What a server does without is named, and with it what to do.
func TestDoctorNamesWhatIsDegraded(t *testing.T) {
	d := &doctor{app: &app{}}
	d.checkDegraded([]byte(`{"status":"degraded","checks":{"clock":"degraded","ledger":"ok","scanner":"degraded"}}`))
	if len(d.findings) != 2 || d.findings[0].Check != "clock" || d.findings[0].Status != checkWarn ||
		!strings.Contains(d.findings[0].Detail, "sallyport clock accept") || d.findings[1].Check != "scanner" {
		t.Errorf("found %+v", d.findings)
	}
}

func TestDoctor(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if r := sallyport(t, nil, "doctor", "--quick", "--data", data); r.code != 1 {
		t.Errorf("--quick without a server: %+v", r)
	}
	if r := sallyport(t, nil, "doctor", "--data", data); r.code != 0 || !strings.Contains(r.stdout, "warn") {
		t.Errorf("before the first start: %+v", r)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Error("doctor made the data directory")
	}
	s := serve(t, data, nil)
	mustSallyport(t, nil, "doctor", "--quick", "--data", data)
	var report struct {
		OK     bool
		Checks []finding
	}
	out := mustSallyport(t, nil, "doctor", "--json", "--data", data, "--data-min-free", "1MiB")
	if err := json.Unmarshal([]byte(out), &report); err != nil || !report.OK {
		t.Fatalf("%v: %s", err, out)
	}
	status := map[string]string{}
	for _, f := range report.Checks {
		status[f.Check] = f.Status
	}
	for check, want := range map[string]string{
		"configuration": checkOK, "clock": checkOK, "data directory": checkOK, "backend": checkOK, "server": checkOK, "scanner": checkWarn,
	} {
		if status[check] != want {
			t.Errorf("%s is %q, want %q", check, status[check], want)
		}
	}
	mustSallyport(t, s.root(), "clock", "accept")
	s.stop()

	failures := []struct {
		name string
		args []string
		want string
	}{
		{"room", []string{"--data-min-free", "100000TiB"}, "below data.min_free"},
		{"certificate", []string{"--s3-tls-cert", "absent.pem", "--s3-tls-key", "absent.key"}, "absent.pem"},
		{"backend", []string{"--backend-kind", "s3"}, "backend.s3_bucket"},
	}
	for _, f := range failures {
		r := sallyport(t, nil, append([]string{"doctor", "--data", data}, f.args...)...)
		if r.code != 1 || !strings.Contains(r.stdout, "fail") || !strings.Contains(r.stdout, f.want) {
			t.Errorf("%s: %+v", f.name, r)
		}
	}
	if err := os.Chmod(filepath.Join(data, rootKeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := sallyport(t, nil, "doctor", "--data", data); r.code != 1 || !strings.Contains(r.stdout, rootKeyFile) {
		t.Errorf("root key open to others: %+v", r)
	}
}
