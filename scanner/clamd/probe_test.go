package clamd_test

import (
	"slices"
	"testing"
	"time"

	"sallyport/scanner/clamd"
	"sallyport/scanner/clamd/clamdtest"
)

// TestProbe has a clamd that differs from what the engine was told in one limit at a
// time.
func TestProbe(t *testing.T) {
	ours := clamd.Limits{StreamMaxLength: 8 << 20, MaxFileSize: 4 << 20, MaxScanSize: 24 << 20, MaxRecursion: 6}
	for _, test := range []struct {
		name     string
		settings []string
		problems []string
		notices  []string
	}{
		{name: "the same", settings: []string{"StreamMaxLength 8M", "MaxFileSize 4M", "MaxScanSize 24M", "MaxRecursion 6", "AlertExceedsMax yes"}},
		{name: "more", settings: []string{"StreamMaxLength 9M", "MaxFileSize 5M", "MaxScanSize 40M", "MaxRecursion 7", "AlertExceedsMax yes"}},
		{name: "no alerts", settings: []string{"MaxRecursion 6"}, notices: []string{"alerts"}},
		{name: "stream", settings: []string{"StreamMaxLength 3M", "AlertExceedsMax yes"}, problems: []string{"stream"}},
		{name: "file", settings: []string{"MaxFileSize 3M"}, problems: []string{"stream", "file size"}},
		{name: "scan", settings: []string{"MaxScanSize 16M"}, problems: []string{"scan size"}},
		{name: "recursion", settings: []string{"MaxRecursion 4"}, problems: []string{"recursion"}, notices: []string{"alerts"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := engine(t, clamdtest.Start(t, test.settings...).Unix, func(c *clamd.Config) { c.Limits, c.Patience = ours, 10*time.Second })
			findings, err := e.Probe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var problems, notices []string
			for _, f := range findings {
				if f.Problem != "" {
					problems = append(problems, f.Check)
				}
				if f.Notice != "" {
					notices = append(notices, f.Check)
				}
			}
			if !slices.Equal(problems, test.problems) || !slices.Equal(notices, test.notices) {
				t.Errorf("%+v", findings)
			}
		})
	}
}
