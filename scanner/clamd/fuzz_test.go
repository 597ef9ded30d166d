package clamd

import (
	"errors"
	"testing"

	"sallyport/registry"
)

// FuzzAnswers: only one answer is clean, and whatever else is said is one of the other
// verdicts or an error, with names that may be shown.
func FuzzAnswers(f *testing.F) {
	for _, answer := range []string{
		"stream: OK", "stream: Eicar-Test-Signature FOUND", "INSTREAM size limit exceeded. ERROR", "stream: x ERROR",
		"stream: Heuristics.Limits.Exceeded.MaxFiles FOUND", "ClamAV 1.4.6/27400/Mon Nov 23 13:49:11 2026", "PONG", "",
	} {
		f.Add(answer)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		r, err := judge(answer)
		if clean := answer == "stream: OK"; clean != (err == nil && r.Result == registry.VerdictClean) {
			t.Errorf("%+v, %v", r, err)
		}
		if err == nil && r.Result != registry.VerdictClean && r.Reason == "" {
			t.Errorf("%s without a reason", r.Result)
		}
		if r.Signature != printable(r.Signature) {
			t.Errorf("a signature of %q", r.Signature)
		}
		v, err := parseVersion(answer)
		if err != nil && !errors.Is(err, errGarbage) || err == nil && v.Engine == "" {
			t.Errorf("%+v, %v", v, err)
		}
	})
}
