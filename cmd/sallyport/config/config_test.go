package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport/config"
)

func TestPrecedence(t *testing.T) {
	yaml := write(t, "s3: {addr: 'file:1', region: from-file}\nuploads: {session_ttl: 3h}\nlog: {level: warn}\n")
	c, err := config.Load(config.Sources{
		File:    yaml,
		Environ: []string{"SALLYPORT_S3_ADDR=env:2", "SALLYPORT_LOG_LEVEL=error", "PATH=/bin"},
		Flags:   map[string]string{"s3.addr": "flag:3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	checks := []struct {
		from      string
		got, want any
	}{
		{"flag over environment", c.S3Addr, "flag:3"},
		{"environment over file", c.LogLevel, slog.LevelError},
		{"file over default", c.S3Region, "from-file"},
		{"file alone", c.UploadsSessionTTL, 3 * time.Hour},
		{"default", c.ControlAddr, ":9001"},
	}
	for _, check := range checks {
		if check.got != check.want {
			t.Errorf("%s: got %v, want %v", check.from, check.got, check.want)
		}
	}
}

func TestEverySettingFromEverySource(t *testing.T) {
	values := map[string]string{
		"string": "text", "list": "a,b", "duration": "70s", "size": "700MiB",
		"number": "7", "bool": "true", "level": "debug", "secret": "hidden-word",
	}
	for _, s := range config.Settings() {
		bad := "!"
		sources := map[string]config.Sources{
			s.Env:         {Environ: []string{s.Env + "=" + bad}},
			": " + s.Key:  {File: write(t, nested(s.Key, "'"+bad+"'"))},
			"--" + s.Flag: {Flags: map[string]string{s.Key: bad}},
		}
		if s.Kind == "string" || s.Kind == "list" || s.Kind == "secret" {
			continue // any text will do, or validation judges: TestBadValues
		}
		for name, src := range sources {
			_, err := config.Load(src)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s = %q from %s: error %v does not name it", s.Key, bad, name, err)
			}
		}
		if _, err := config.Load(config.Sources{Flags: map[string]string{s.Key: values[s.Kind]}}); err != nil {
			t.Errorf("%s = %q: %v", s.Key, values[s.Kind], err)
		}
	}
}

func TestBadValues(t *testing.T) {
	tests := []struct {
		name string
		yaml string
		env  []string
		want string // part of the error
	}{
		{"unknown key", "s3: {adr: ':1'}", nil, "s3.adr: unknown key"},
		{"unknown section", "s4: {addr: ':1'}", nil, "s4.addr: unknown key"},
		{"scalar for a section", "s3: 5", nil, "s3: unknown key"},
		{"too deep", "s3: {addr: {host: x}}", nil, "s3.addr.host: unknown key"},
		{"key twice", "s3: {addr: ':1', addr: ':2'}", nil, "already defined"},
		{"not YAML", "s3: [", nil, "configuration file"},
		{"unknown variable", "", []string{"SALLYPORT_S3_ADR=:1"}, "SALLYPORT_S3_ADR: unknown environment variable"},
		{"empty value in file", "s3: {addr: }", nil, "s3.addr: has no value"},
		{"list for one value", "s3: {addr: [':1']}", nil, "takes one value"},
		{"number for text", "s3: {region: 5}", nil, "quotes"},
		{"number in a list", "s3: {domains: [5]}", nil, "quotes"},
		{"number for a duration", "uploads: {session_ttl: 5}", nil, "5 is not a duration"},
		{"text for a switch", "", []string{"SALLYPORT_CONTROL_ALLOW_PLAIN=yes"}, `"yes" is neither true nor false`},
		{"bad level", "", []string{"SALLYPORT_LOG_LEVEL=loud"}, "SALLYPORT_LOG_LEVEL"},
		{"negative size", "", []string{"SALLYPORT_DATA_MIN_FREE=-1"}, "SALLYPORT_DATA_MIN_FREE"},
		{"overflowing size", "", []string{"SALLYPORT_DATA_MIN_FREE=9999999999GiB"}, "SALLYPORT_DATA_MIN_FREE"},
		{"fractional size", "", []string{"SALLYPORT_DATA_MIN_FREE=1.5GiB"}, "SALLYPORT_DATA_MIN_FREE"},
		{"no data directory", "", []string{"SALLYPORT_DATA_DIR="}, "SALLYPORT_DATA_DIR: must not be empty"},
		{"log format", "", []string{"SALLYPORT_LOG_FORMAT=xml"}, "SALLYPORT_LOG_FORMAT"},
		{"address without port", "", []string{"SALLYPORT_S3_ADDR=localhost"}, "SALLYPORT_S3_ADDR"},
		{"port out of range", "", []string{"SALLYPORT_OPS_ADDR=:70000"}, "SALLYPORT_OPS_ADDR"},
		{"URL with a path", "", []string{"SALLYPORT_S3_EXTERNAL_URL=https://a.example/x"}, "no path"},
		{"URL with a slash", "", []string{"SALLYPORT_S3_EXTERNAL_URL=https://a.example,https://b.example/"}, "https://b.example/"},
		{"URL with a user", "", []string{"SALLYPORT_CONTROL_EXTERNAL_URL=https://u:p@a.example"}, "user"},
		{"URL without scheme", "", []string{"SALLYPORT_S3_EXTERNAL_URL=a.example"}, "SALLYPORT_S3_EXTERNAL_URL"},
		{"origin", "", []string{"SALLYPORT_S3_CORS_ORIGINS=example.org"}, "SALLYPORT_S3_CORS_ORIGINS"},
		{"domain", "", []string{"SALLYPORT_S3_DOMAINS=s3..org"}, "SALLYPORT_S3_DOMAINS"},
		{"proxy", "", []string{"SALLYPORT_TRUSTED_PROXIES=10.0.0.0/8,proxy"}, `"proxy"`},
		{"certificate without key", "", []string{"SALLYPORT_S3_TLS_CERT=a.pem"}, "SALLYPORT_S3_TLS_CERT"},
		{"key without certificate", "", []string{"SALLYPORT_CONTROL_TLS_KEY=a.pem"}, "control.tls_cert"},
		{"half a root key", "", []string{"SALLYPORT_ROOT_ACCESS_KEY=SP"}, "both or neither"},
		{"backend", "", []string{"SALLYPORT_BACKEND_KIND=tape"}, `"tape"`},
		{"backend without bucket", "", []string{"SALLYPORT_BACKEND_KIND=s3"}, "backend.s3_bucket: is needed"},
		{"PUT URL beyond 15m", "", []string{"SALLYPORT_UPLOADS_PUT_URL_TTL=16m"}, "SALLYPORT_UPLOADS_PUT_URL_TTL: 16m is not between"},
		{"GET URL under 60s", "", []string{"SALLYPORT_DOWNLOADS_URL_TTL=59s"}, "SALLYPORT_DOWNLOADS_URL_TTL"},
		{"inline URL with a path", "", []string{"SALLYPORT_DOWNLOADS_INLINE_URL=https://m.example/x"}, "SALLYPORT_DOWNLOADS_INLINE_URL"},
		{"inline URL in capitals", "", []string{"SALLYPORT_DOWNLOADS_INLINE_URL=https://M.example"}, "lower case"},
		{"inline URL of the s3 port", "", []string{"SALLYPORT_S3_EXTERNAL_URL=https://b.example,https://m.example:9000", "SALLYPORT_DOWNLOADS_INLINE_URL=https://m.example"}, "SALLYPORT_DOWNLOADS_INLINE_URL: has the host of SALLYPORT_S3_EXTERNAL_URL"},
		{"inline URL of the control port", "", []string{"SALLYPORT_CONTROL_EXTERNAL_URL=https://m.example", "SALLYPORT_DOWNLOADS_INLINE_URL=https://m.example"}, "has the host of SALLYPORT_CONTROL_EXTERNAL_URL"},
		{"inline URL of the console's loopback", "", []string{"SALLYPORT_CONTROL_ADDR=127.0.0.1:9001", "SALLYPORT_DOWNLOADS_INLINE_URL=http://127.0.0.1:9000"}, "has the host of"},
		{"inline URL of an application", "", []string{"SALLYPORT_S3_CORS_ORIGINS=https://app.example", "SALLYPORT_DOWNLOADS_INLINE_URL=https://app.example"}, "has the host of SALLYPORT_S3_CORS_ORIGINS"},
		{"inline URL as a bucket", "", []string{"SALLYPORT_S3_DOMAINS=s3.example", "SALLYPORT_DOWNLOADS_INLINE_URL=https://m.s3.example"}, "below"},
		{"presigned beyond a week", "", []string{"SALLYPORT_PRESIGN_MAX_TTL=169h"}, "SALLYPORT_PRESIGN_MAX_TTL"},
		{"lifecycle without rest", "", []string{"SALLYPORT_LIFECYCLE_EVERY=0s"}, "SALLYPORT_LIFECYCLE_EVERY"},
		{"webhook host", "", []string{"SALLYPORT_WEBHOOKS_ALLOW_HOSTS=hooks.example,https://b.example"}, `"https://b.example"`},
		{"webhook host pattern", "", []string{"SALLYPORT_WEBHOOKS_ALLOW_HOSTS=*"}, `"*"`},
		{"webhook network", "", []string{"SALLYPORT_WEBHOOKS_ALLOW_NETWORKS=10.0.0.1"}, "SALLYPORT_WEBHOOKS_ALLOW_NETWORKS"},
		{"no workers", "", []string{"SALLYPORT_SCANNER_WORKERS=0"}, "SALLYPORT_SCANNER_WORKERS"},
		{"clamd without a scheme", "", []string{"SALLYPORT_SCANNER_CLAMD_ADDR=localhost:3310"}, "SALLYPORT_SCANNER_CLAMD_ADDR"},
		{"clamd at a relative path", "", []string{"SALLYPORT_SCANNER_CLAMD_ADDR=unix://clamd.ctl"}, "SALLYPORT_SCANNER_CLAMD_ADDR"},
		{"clamd without a limit", "", []string{"SALLYPORT_SCANNER_CLAMD_MAX_FILE_SIZE=0"}, "SALLYPORT_SCANNER_CLAMD_MAX_FILE_SIZE"},
		{"clamd beyond its own", "", []string{"SALLYPORT_SCANNER_CLAMD_MAX_FILE_SIZE=2GiB"}, "SALLYPORT_SCANNER_CLAMD_MAX_FILE_SIZE"},
		{"ICAP without a service", "", []string{"SALLYPORT_SCANNER_ICAP_URL=icap://localhost:1344"}, "SALLYPORT_SCANNER_ICAP_URL"},
		{"database age below zero", "", []string{"SALLYPORT_SCANNER_MAX_DB_AGE=-5m"}, "SALLYPORT_SCANNER_MAX_DB_AGE"},
		{"command without a path", "", []string{"SALLYPORT_SCANNER_EXEC_COMMAND=scan,-"}, "SALLYPORT_SCANNER_EXEC_COMMAND"},
		{"exit code", "", []string{"SALLYPORT_SCANNER_EXEC_DOWN=2,256"}, `"256"`},
		{"two meanings", "", []string{"SALLYPORT_SCANNER_EXEC_DOWN=1"}, "1 is in scanner.exec_infected, too"},
		{"expression", "", []string{"SALLYPORT_SCANNER_EXEC_SIGNATURE=("}, "SALLYPORT_SCANNER_EXEC_SIGNATURE"},
		{"sandbox without memory", "", []string{"SALLYPORT_SCANNER_SANDBOX_MEMORY=1MiB"}, "SALLYPORT_SCANNER_SANDBOX_MEMORY"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			src := config.Sources{Environ: test.env}
			if test.yaml != "" {
				src.File = write(t, test.yaml)
			}
			_, err := config.Load(src)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v does not contain %q", err, test.want)
			}
		})
	}
}

func TestEveryProblemIsReported(t *testing.T) {
	_, err := config.Load(config.Sources{Environ: []string{"SALLYPORT_S3_ADDR=x", "SALLYPORT_OPS_ADDR=y"}})
	if err == nil || !strings.Contains(err.Error(), "SALLYPORT_S3_ADDR") || !strings.Contains(err.Error(), "SALLYPORT_OPS_ADDR") {
		t.Errorf("error %v does not name both", err)
	}
}

func TestMissingFile(t *testing.T) {
	if _, err := config.Load(config.Sources{File: filepath.Join(t.TempDir(), "absent.yaml")}); err == nil {
		t.Error("a missing configuration file is no error")
	}
}

func TestGoodValues(t *testing.T) {
	c, err := config.Load(config.Sources{
		File: write(t, "s3:\n  external_url: [https://a.example, http://b.example:9000]\nops: {}\ndata: {min_free: 4096}\n"),
		Environ: []string{
			"SALLYPORT_ENDPOINT=x", "SALLYPORT_ACCESS_KEY=x", "SALLYPORT_SECRET_KEY=x", "SALLYPORT_TOKEN=x", "SALLYPORT_TEST_REQUIRE=all",
			"SALLYPORT_TRUSTED_PROXIES=10.0.0.0/8, ::1", "SALLYPORT_BACKEND_KIND=s3",
			"SALLYPORT_BACKEND_S3_ENDPOINT=http://minio:9000", "SALLYPORT_BACKEND_S3_BUCKET=bytes",
			"SALLYPORT_BACKEND_S3_ACCESS_KEY=user", "SALLYPORT_BACKEND_S3_SECRET_KEY=pass=word",
			"SALLYPORT_S3_CORS_ORIGINS=*", "SALLYPORT_DOWNLOADS_INLINE_URL=https://media.example:9443",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"https://a.example", "http://b.example:9000"}; !slices.Equal(c.S3ExternalURL, want) {
		t.Errorf("external URLs %q", c.S3ExternalURL)
	}
	if want := []string{"10.0.0.0/8", "::1"}; !slices.Equal(c.TrustedProxies, want) {
		t.Errorf("proxies %q", c.TrustedProxies)
	}
	if c.DataMinFree != 4096 || string(c.BackendS3SecretKey) != "pass=word" {
		t.Errorf("min free %v, secret of %d bytes", c.DataMinFree, len(c.BackendS3SecretKey))
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	c := config.Default()
	c.RootSecretKey, c.BackendS3SecretKey = "hidden-word", "hidden-word"
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("start", "config", c, "secret", c.RootSecretKey)
	printed := logged.String() + fmt.Sprintf("%v %+v %#v %s", c, c, c, c.RootSecretKey)
	if strings.Contains(printed, "hidden-word") {
		t.Errorf("a secret shows: %s", printed)
	}
	_, err := config.Load(config.Sources{File: write(t, "root: {secret_key: 12345678}")})
	if err == nil || strings.Contains(err.Error(), "12345678") {
		t.Errorf("the error of a bad secret is %v", err)
	}
}

func TestSizes(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "1": "1", "1024": "1KiB", "5GiB": "5GiB", "1536MiB": "1536MiB", "10MB": "10000000", "7 MiB": "7MiB", "12B": "12",
	} {
		var s config.Size
		if err := s.UnmarshalText([]byte(in)); err != nil || s.String() != want {
			t.Errorf("%q reads as %s, %v; want %s", in, s, err, want)
		}
	}
}

func write(t *testing.T, yaml string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// nested writes "a.b" and "c" as YAML.
func nested(key, value string) string {
	section, field, ok := strings.Cut(key, ".")
	if !ok {
		return key + ": " + value
	}
	return section + ": {" + field + ": " + value + "}"
}
