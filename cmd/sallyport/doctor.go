package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/config"
)

// doctorTimeout bounds each thing that doctor asks over the network.
const doctorTimeout = 10 * time.Second

// The outcomes of one check. Only a fail makes doctor fail.
const (
	checkOK   = "ok"
	checkWarn = "warn"
	checkFail = "fail"
)

// finding is one line of doctor's report.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// doctor judges an installation from outside: it may run beside the server.
type doctor struct {
	*app
	cfg      config.Config
	settings *settings
	http     *http.Client
	findings []finding
}

func (a *app) doctorCommand() *cobra.Command {
	var s settings
	var quick bool
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Check configuration, clock, data directory, backend, certificates, endpoints and engines",
		Long: `Doctor looks at the configuration that serve would start with, and at the server if
it runs. It prints one line per check, ok, warn or fail, and exits with 1 if one
failed. Run it as the user that runs the server.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			d := &doctor{app: a, settings: &s, http: &http.Client{Timeout: doctorTimeout}}
			return d.run(context.Background(), quick)
		},
	}
	s.register(command.Flags())
	command.Flags().BoolVar(&quick, "quick", false, "only ask the running server whether it is ready; for health checks")
	return command
}

func (d *doctor) run(ctx context.Context, quick bool) error {
	var err error
	if d.cfg, err = d.load(d.settings); err != nil {
		d.fail("configuration", err.Error())
		return d.verdict()
	}
	if quick {
		d.checkReady(ctx)
		return d.verdict()
	}
	d.ok("configuration", "every setting is valid")
	d.checkConfigFile()
	d.checkClock(ctx)
	d.checkDataDir()
	d.checkBackend(ctx)
	d.checkTLS()
	d.checkEndpoints(ctx)
	d.checkScanner(ctx)
	return d.verdict()
}

// noMalwareEngine says what the absence of a malware engine means.
func noMalwareEngine(cfg config.Config) string {
	if cfg.ScannerRequired {
		return "no malware engine is configured: every upload is held for review (scanner.required)"
	}
	return "no malware engine is configured: uploads are published on the built-in inspection of size, digest and type"
}

func (d *doctor) ok(check, detail string) {
	d.findings = append(d.findings, finding{check, checkOK, detail})
}

func (d *doctor) warn(check, detail string) {
	d.findings = append(d.findings, finding{check, checkWarn, detail})
}

func (d *doctor) fail(check, detail string) {
	d.findings = append(d.findings, finding{check, checkFail, detail})
}

// verdict prints the report and turns a failed check into a failed command.
func (d *doctor) verdict() error {
	failed := 0
	for _, f := range d.findings {
		if f.Status == checkFail {
			failed++
		}
		d.printf("%-4s  %-16s  %s\n", f.Status, f.Check, strings.ReplaceAll(printable(f.Detail), "\n", "\n"+strings.Repeat(" ", 24)))
	}
	if d.json {
		if err := d.writeJSON(map[string]any{"ok": failed == 0, "checks": d.findings}); err != nil {
			return err
		}
	}
	if failed > 0 {
		return errReported
	}
	return nil
}

// checkConfigFile looks at who else can read a file that may hold secrets.
func (d *doctor) checkConfigFile() {
	if d.settings.file == "" {
		return
	}
	info, err := os.Stat(d.settings.file)
	if err != nil {
		d.fail("configuration", err.Error())
		return
	}
	if info.Mode().Perm()&0o044 != 0 && (d.cfg.RootSecretKey != "" || d.cfg.BackendS3SecretKey != "") {
		d.warn("configuration", fmt.Sprintf("%s can be read by others (mode %04o), and this configuration has secrets", d.settings.file, info.Mode().Perm()))
	}
}

// Limits on how far two clocks may be apart.
const (
	skewNoticed = 5 * time.Second
	skewRefused = 15 * time.Minute // what SigV4 tolerates
)

// checkClock compares the wall clock with the monotonic one, and with the clocks
// of those who verify or make signatures: the running server and the backend.
func (d *doctor) checkClock(ctx context.Context) {
	start := d.now()
	time.Sleep(50 * time.Millisecond)
	end := d.now()
	if step := end.Round(0).Sub(start.Round(0)) - end.Sub(start); step.Abs() > 10*time.Millisecond {
		d.warn("clock", fmt.Sprintf("the wall clock moved by %s while it was watched", step))
	}
	asked := map[string]string{}
	if running, err := readEndpoints(d.cfg.DataDir); err == nil {
		asked["the server's"] = running.Ops + "/healthz"
	}
	if d.cfg.BackendKind == "s3" {
		asked["the backend's"] = d.cfg.BackendS3Endpoint
	}
	sound := true
	for whose, url := range asked {
		skew, err := d.skew(ctx, url)
		switch {
		case err != nil: // whoever is unreachable is reported elsewhere
		case skew.Abs() >= skewRefused:
			sound = false
			d.fail("clock", fmt.Sprintf("it is %s away from %s: signatures are refused", skew.Round(time.Second), whose))
		case skew.Abs() >= skewNoticed:
			sound = false
			d.warn("clock", fmt.Sprintf("it is %s away from %s", skew.Round(time.Second), whose))
		}
	}
	if sound {
		d.ok("clock", end.UTC().Format(time.RFC3339))
	}
}

// skew returns how far the clock of an HTTP server is ahead, to a second or so.
func (d *doctor) skew(ctx context.Context, url string) (time.Duration, error) {
	answer, err := d.get(ctx, url)
	if err != nil {
		return 0, err
	}
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return 0, err
	}
	return date.Sub(d.now()), nil
}

// get does one request and throws the body away.
func (d *doctor) get(ctx context.Context, url string) (*http.Response, error) {
	answer, _, err := d.read(ctx, url)
	return answer, err
}

// maxReport bounds what doctor reads of an answer, in bytes.
const maxReport = 64 << 10

// read does one request.
func (d *doctor) read(ctx context.Context, url string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	answer, err := d.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxReport))
	return answer, body, errors.Join(err, answer.Body.Close())
}

// checkReady asks the running server itself.
func (d *doctor) checkReady(ctx context.Context) {
	running, err := readEndpoints(d.cfg.DataDir)
	if err != nil {
		d.fail("server", "it does not run: "+err.Error())
		return
	}
	answer, body, err := d.read(ctx, running.Ops+"/readyz")
	switch {
	case err != nil:
		d.fail("server", "it does not answer: "+err.Error())
	case answer.StatusCode != http.StatusOK:
		d.fail("server", "it is not ready: "+answer.Status)
	default:
		d.ok("server", "it is ready")
		d.checkDegraded(body)
	}
}

// degraded says what it means that a server is ready without something.
var degraded = map[string]string{
	"clock":   "the server's clock leapt ahead, and expiry and clean-up wait: if it is right now, run " + acceptClock,
	"scanner": "no engine answers: uploads wait for their inspection",
	"space":   "there is less room than data.min_free: uploads are refused",
}

// checkDegraded names what the server does without.
func (d *doctor) checkDegraded(body []byte) {
	var report struct {
		Checks map[string]string `json:"checks"`
	}
	if err := json.Unmarshal(body, &report); err != nil {
		d.warn("server", "its report does not read as JSON")
		return
	}
	for _, check := range slices.Sorted(maps.Keys(report.Checks)) {
		if report.Checks[check] != "ok" {
			d.warn(check, cmp.Or(degraded[check], "the server does without"))
		}
	}
}

// checkEndpoints looks whether the server, if it runs, is reached where it says,
// and under the URLs that clients are given.
func (d *doctor) checkEndpoints(ctx context.Context) {
	if _, err := readEndpoints(d.cfg.DataDir); errors.Is(err, fs.ErrNotExist) {
		d.warn("server", "it does not run")
		return
	}
	d.checkReady(ctx)
	external := d.cfg.S3ExternalURL
	if d.cfg.ControlExternalURL != "" {
		external = append([]string{d.cfg.ControlExternalURL}, external...)
	}
	for _, url := range external {
		if _, err := d.get(ctx, url+"/"); err != nil {
			d.fail("external URL", fmt.Sprintf("%s cannot be reached from here: %v", url, err))
			continue
		}
		d.ok("external URL", url+" answers")
	}
}
