package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/registry/policy"
)

func TestScanRules(t *testing.T) {
	many := func(n int) []string {
		names := make([]string, n)
		for i := range names {
			names[i] = "engine" + strings.Repeat("x", i)
		}
		return names
	}
	archive := func(a registry.ArchiveRules) registry.ScanRules { return registry.ScanRules{Archive: a} }
	image := func(i registry.ImageRules) registry.ScanRules { return registry.ScanRules{Image: &i} }
	for _, c := range []struct {
		name   string
		rules  registry.ScanRules
		intake registry.Intake // "" is quarantine
		want   error
	}{
		{"another mode", registry.ScanRules{Mode: "sometimes"}, "", policy.ErrInvalid},
		{"inline in quarantine", registry.ScanRules{Mode: registry.ScanInline}, "", policy.ErrInvalid},
		{"off and engines", registry.ScanRules{Mode: registry.ScanOff, Engines: []string{"clamd"}}, "", policy.ErrInvalid},
		{"too many engines", registry.ScanRules{Engines: many(17)}, "", policy.ErrInvalid},
		{"an engine twice", registry.ScanRules{Engines: []string{"clamd", "clamd"}}, "", policy.ErrInvalid},
		{"an engine without a name", registry.ScanRules{Engines: []string{""}}, "", policy.ErrInvalid},
		{"an engine in capitals", registry.ScanRules{Engines: []string{"ClamAV"}}, "", policy.ErrInvalid},
		{"a path for an engine", registry.ScanRules{Engines: []string{"../clamd"}}, "", policy.ErrInvalid},
		{"a long engine", registry.ScanRules{Engines: []string{strings.Repeat("x", 33)}}, "", policy.ErrInvalid},
		{"kept for less than a second", registry.ScanRules{KeepRejected: time.Millisecond}, "", policy.ErrInvalidTTL},
		{"kept for less than nothing", registry.ScanRules{KeepRejected: -time.Hour}, "", policy.ErrInvalidTTL},
		{"kept for too long", registry.ScanRules{KeepRejected: 101 * 365 * 24 * time.Hour}, "", policy.ErrInvalidTTL},
		{"depth", archive(registry.ArchiveRules{MaxDepth: 65}), "", policy.ErrInvalid},
		{"negative depth", archive(registry.ArchiveRules{MaxDepth: -1}), "", policy.ErrInvalid},
		{"entries", archive(registry.ArchiveRules{MaxEntries: 10_000_001}), "", policy.ErrInvalid},
		{"bytes", archive(registry.ArchiveRules{MaxBytes: 5<<40 + 1}), "", policy.ErrInvalid},
		{"ratio", archive(registry.ArchiveRules{MaxRatio: -1}), "", policy.ErrInvalid},
		{"pixels", image(registry.ImageRules{MaxPixels: 1<<31 + 1}), "", policy.ErrInvalid},
		{"frames", image(registry.ImageRules{MaxFrames: -1}), "", policy.ErrInvalid},
		{"many thumbnails", image(registry.ImageRules{Thumbnails: []int{16, 17, 18, 19, 20, 21, 22, 23, 24}}), "", policy.ErrInvalid},
		{"tiny thumbnail", image(registry.ImageRules{Thumbnails: []int{15}}), "", policy.ErrInvalid},
		{"huge thumbnail", image(registry.ImageRules{Thumbnails: []int{4097}}), "", policy.ErrInvalid},
		{"a thumbnail twice", image(registry.ImageRules{Thumbnails: []int{64, 64}}), "", policy.ErrInvalid},
		{"defaults", registry.ScanRules{}, "", nil},
		{"async in direct", registry.ScanRules{Mode: registry.ScanAsync}, registry.IntakeDirect, nil},
		{"inline in direct", registry.ScanRules{Mode: registry.ScanInline, Engines: many(16)}, registry.IntakeDirect, nil},
		{"off", registry.ScanRules{Mode: registry.ScanOff}, "", nil},
		{"everything at its most", registry.ScanRules{
			Mode: registry.ScanAsync, Engines: []string{"clamd", "icap-1", "my_exec"}, Executables: true, Active: true, TwoPersons: true,
			Archive:      registry.ArchiveRules{MaxDepth: 64, MaxEntries: 10_000_000, MaxBytes: 5 << 40, MaxRatio: 1_000_000, Encrypted: true},
			Image:        &registry.ImageRules{MaxPixels: 1 << 31, MaxFrames: 100_000, Thumbnails: []int{16, 4096}, Inline: true},
			KeepRejected: 100 * 365 * 24 * time.Hour,
		}, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.intake == "" {
				c.intake = registry.IntakeQuarantine
			}
			if err := policy.ScanRules(c.rules, c.intake); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			b := registry.Bucket{Name: "evidence", Intake: c.intake, Scan: c.rules}
			if err := policy.Defaults().Profile(b); !errors.Is(err, c.want) {
				t.Errorf("in a profile: got %v, want %v", err, c.want)
			}
		})
	}
}
