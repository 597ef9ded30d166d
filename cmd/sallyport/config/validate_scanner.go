package config

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"sallyport/scanner/clamd"
	"sallyport/scanner/icap"
)

// maxClamdSize is the longest file that ClamAV looks at.
const maxClamdSize = math.MaxInt32 - 2

func (c *Config) validateScanner(k *check) {
	if c.ScannerWorkers < 1 || c.ScannerWorkers > 1024 {
		k.fail("scanner.workers", "%d is not between 1 and 1024", c.ScannerWorkers)
	}
	if c.ScannerClamdAddr != "" {
		if _, _, err := clamd.ParseAddress(c.ScannerClamdAddr); err != nil {
			k.fail("scanner.clamd_addr", "%w", err)
		}
	}
	if c.ScannerICAPURL != "" {
		if _, err := icap.ParseURL(c.ScannerICAPURL); err != nil {
			k.fail("scanner.icap_url", "%w", err)
		}
	}
	for _, size := range []struct {
		key  string
		size Size
		most Size
	}{
		{"scanner.clamd_stream_max_length", c.ScannerClamdStreamMaxLength, math.MaxUint32},
		{"scanner.clamd_max_file_size", c.ScannerClamdMaxFileSize, maxClamdSize},
		{"scanner.clamd_max_scan_size", c.ScannerClamdMaxScanSize, 1 << 40},
		{"scanner.icap_max_size", c.ScannerICAPMaxSize, 1 << 40},
	} {
		if size.size < 1 || size.size > size.most {
			k.fail(size.key, "%s is not between 1 and %s", size.size, size.most)
		}
	}
	if c.ScannerClamdMaxRecursion < 2 || c.ScannerClamdMaxRecursion > 100 {
		k.fail("scanner.clamd_max_recursion", "%d is not between 2 and 100", c.ScannerClamdMaxRecursion)
	}
	if c.ScannerClamdSessions < 1 || c.ScannerClamdSessions > 1024 {
		k.fail("scanner.clamd_sessions", "%d is not between 1 and 1024", c.ScannerClamdSessions)
	}
	if c.ScannerSandboxWorkers < 1 || c.ScannerSandboxWorkers > 1024 {
		k.fail("scanner.sandbox_workers", "%d is not between 1 and 1024", c.ScannerSandboxWorkers)
	}
	if c.ScannerSandboxMemory < 128<<20 {
		k.fail("scanner.sandbox_memory", "%s is not at least 128MiB", c.ScannerSandboxMemory)
	}
	c.validateScanTimes(k)
	c.validateExec(k)
}

func (c *Config) validateExec(k *check) {
	for key, argv := range map[string][]string{"scanner.exec_command": c.ScannerExecCommand, "scanner.exec_version": c.ScannerExecVersion} {
		if len(argv) > 0 && !filepath.IsAbs(argv[0]) {
			k.fail(key, "%q is not an absolute path", argv[0])
		}
	}
	for _, path := range c.ScannerExecPaths {
		if !filepath.IsAbs(path) {
			k.fail("scanner.exec_paths", "%q is not an absolute path", path)
		}
	}
	meaning := map[int]string{}
	for _, list := range []struct {
		key   string
		codes []string
	}{
		{"scanner.exec_clean", c.ScannerExecClean}, {"scanner.exec_infected", c.ScannerExecInfected},
		{"scanner.exec_incomplete", c.ScannerExecIncomplete}, {"scanner.exec_down", c.ScannerExecDown},
	} {
		codes, err := ExitCodes(list.codes)
		if err != nil {
			k.fail(list.key, "%w", err)
		}
		for _, code := range codes {
			if meaning[code] != "" {
				k.fail(list.key, "%d is in %s, too", code, meaning[code])
			}
			meaning[code] = list.key
		}
	}
	if _, err := regexp.Compile(c.ScannerExecSignature); err != nil {
		k.fail("scanner.exec_signature", "%w", err)
	}
	if c.ScannerExecMemory < 64<<20 {
		k.fail("scanner.exec_memory", "%s is not at least 64MiB", c.ScannerExecMemory)
	}
}

// ExitCodes reads a list of exit codes.
func ExitCodes(list []string) ([]int, error) {
	var codes []int
	for _, text := range list {
		code, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return nil, fmt.Errorf("%q is not an exit code, 0 to 255", text)
		}
		codes = append(codes, int(code))
	}
	return codes, nil
}

func (c *Config) validateScanTimes(k *check) {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	for _, d := range []struct {
		key       string
		d         time.Duration
		low, high time.Duration
		zero      []time.Duration // allowed, too
	}{
		{"scanner.clamd_timeout", c.ScannerClamdTimeout, time.Second, day, nil},
		{"scanner.clamd_patience", c.ScannerClamdPatience, 100 * time.Millisecond, time.Hour, nil},
		{"scanner.icap_timeout", c.ScannerICAPTimeout, time.Second, day, nil},
		{"scanner.exec_timeout", c.ScannerExecTimeout, time.Second, day, nil},
		{"scanner.sandbox_timeout", c.ScannerSandboxTimeout, time.Second, day, nil},
		{"scanner.warn_db_age", c.ScannerWarnDBAge, time.Second, year, []time.Duration{0}},
		{"scanner.max_db_age", c.ScannerMaxDBAge, time.Second, year, []time.Duration{0}},
		{"scanner.rescan_every", c.ScannerRescanEvery, time.Second, 10 * year, []time.Duration{0}},
		{"scanner.keep_rejected", c.ScannerKeepRejected, time.Second, 100 * year, []time.Duration{0}},
	} {
		if (d.d < d.low || d.d > d.high) && !slices.Contains(d.zero, d.d) {
			k.fail(d.key, "%s is not between %s and %s", shortDuration(d.d), shortDuration(d.low), shortDuration(d.high))
		}
	}
}
