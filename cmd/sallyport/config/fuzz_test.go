package config_test

import (
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/sallyport/config"
)

// FuzzSize: a size is the number it says, exactly, and is shown as what reads
// back the same.
func FuzzSize(f *testing.F) {
	for _, seed := range []string{"", "0", "1024", "5GiB", "64 MiB", "10MB", "1KB", "1B", "-1", "1.5GiB", "8388607TiB", "8388608TiB", "9223372036854775807", "9223372036854775808", "GiB", "1GiBB", "1 B iB", " 0B", "0x10", "1_000"} {
		f.Add(seed)
	}
	units := map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "B": 1, "": 1}
	f.Fuzz(func(t *testing.T, text string) {
		var s config.Size
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		digits := strings.TrimRight(text, "KMGTiB \t\n\v\f\r\u0085\u00a0")
		unit := strings.TrimSpace(strings.TrimPrefix(text, digits))
		n, ok := new(big.Int).SetString(digits, 10)
		if !ok || units[unit] == 0 || n.Mul(n, big.NewInt(units[unit])).Cmp(big.NewInt(int64(s))) != 0 {
			t.Errorf("%q is %d", text, s)
		}
		var back config.Size
		if err := back.UnmarshalText([]byte(s.String())); err != nil || back != s {
			t.Errorf("%q: %d is shown as %s, which is %d, %v", text, s, s, back, err)
		}
	})
}

// FuzzValues: a value is read alike from environment and flag, a duration as Go
// does, and an error names the setting.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{"", "2h", "90s", "1h0m0s", "-5m", "5", "1.5h", "1e3s", "9223372036854775807ns", "168h", " 3h ", "true", "T", "info", "INFO+2", "7", "+7", "a,b", ",", "a, ,b", "https://a.example"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, s := range config.Settings() {
			if s.Kind == "secret" {
				continue
			}
			c, err := config.Load(config.Sources{Environ: []string{s.Env + "=" + value}})
			byFlag, flagErr := config.Load(config.Sources{Flags: map[string]string{s.Key: value}})
			if (err == nil) != (flagErr == nil) || !reflect.DeepEqual(c, byFlag) {
				t.Errorf("%s=%q: %v from the environment, %v as a flag", s.Env, value, err, flagErr)
			}
			if err != nil && !strings.Contains(err.Error(), s.Env) && !strings.Contains(err.Error(), s.Key) {
				t.Errorf("%s=%q: the error does not name it: %v", s.Env, value, err)
			}
			if err == nil && s.Key == "uploads.session_ttl" {
				if d, err := time.ParseDuration(strings.TrimSpace(value)); err != nil || c.UploadsSessionTTL != d || d <= 0 {
					t.Errorf("%q: %v, %v", value, c.UploadsSessionTTL, err)
				}
			}
		}
	})
}
