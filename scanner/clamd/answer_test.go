package clamd

import (
	"errors"
	"strings"
	"testing"

	"sallyport/registry"
	"sallyport/scanner"
)

func TestJudge(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, test := range []struct {
		answer    string
		result    registry.VerdictResult // "" for an error
		reason    string
		signature string
		down      bool
	}{
		{answer: "", down: true},
		{answer: "OK", down: true},
		{answer: "file: OK", down: true},
		{answer: "file: Eicar FOUND", down: true},
		{answer: "stream: OK", result: registry.VerdictClean},
		{answer: "stream: ", down: true},
		{answer: "stream: ok", down: true},
		{answer: "stream: OK ", down: true},
		{answer: "stream: OKAY", down: true},
		{answer: "PONG", down: true},
		{answer: "HTTP/1.1 200 OK", down: true},
		{answer: "stream: FOUND", down: true},
		{answer: "stream: Can't allocate memory ERROR"},
		{answer: "COMMAND READ TIMED OUT ERROR"},
		{answer: "stream: OK ERROR"},
		{answer: "INSTREAM size limit exceeded. ERROR", result: registry.VerdictIncomplete, reason: ReasonLimit},
		{answer: "stream: Time limit reached ERROR", result: registry.VerdictIncomplete, reason: ReasonLimit},
		{answer: "stream: OK FOUND", result: registry.VerdictInfected, reason: ReasonMalware, signature: "OK"},
		{answer: "stream: A b FOUND FOUND", result: registry.VerdictInfected, reason: ReasonMalware, signature: "A b FOUND"},
		{answer: "stream: \x1b[2J\n FOUND", result: registry.VerdictInfected, reason: ReasonMalware, signature: "?[2J?"},
		{answer: "stream: " + long + " FOUND", result: registry.VerdictInfected, reason: ReasonMalware, signature: long[:maxSignature]},
		{answer: "stream: Heuristics.Limits.Exceeded.MaxFiles FOUND", result: registry.VerdictIncomplete, reason: ReasonLimit, signature: "Heuristics.Limits.Exceeded.MaxFiles"},
		{answer: "stream: Heuristics.Encrypted.Zip FOUND", result: registry.VerdictIncomplete, reason: ReasonEncrypted, signature: "Heuristics.Encrypted.Zip"},
		{answer: "stream: Heuristics.Phishing.Email FOUND", result: registry.VerdictInfected, reason: ReasonMalware, signature: "Heuristics.Phishing.Email"},
	} {
		got, err := judge(test.answer)
		if (err == nil) != (test.result != "") || errors.Is(err, scanner.ErrDown) != test.down {
			t.Errorf("%.80q: error %v", test.answer, err)
		}
		if got.Result != test.result || got.Reason != test.reason || got.Signature != test.signature {
			t.Errorf("%.80q: got %+v", test.answer, got)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for answer, want := range map[string]string{
		"":                         "",
		"PONG":                     "",
		"ClamAV 1.4.6":             "ClamAV 1.4.6",
		"ClamAV 1.4.6/x/y":         "",
		"ClamAV 1.4.6/27400":       "",
		"ClamAV 1.4.6/27400/today": "",
		"ClamAV 1.4.6/27400/Mon Nov 23 13:49:11 2026": "ClamAV 1.4.6/27400",
		"ClamAV 1.4.6/27400/Mon Nov  2 13:49:11 2026": "ClamAV 1.4.6/27400",
	} {
		v, err := parseVersion(answer)
		if (err == nil) != (want != "") || v.String() != want {
			t.Errorf("%q: %+v, %v", answer, v, err)
		}
		if strings.Contains(answer, "2026") && v.Built.Year() != 2026 {
			t.Errorf("%q: made %s", answer, v.Built)
		}
	}
}
