package clamd

import (
	"errors"
	"fmt"
	"strings"

	"sallyport/registry"
	"sallyport/scanner"
)

// errScan: clamd could not look at this content.
var errScan = errors.New("clamd: the scan failed")

// maxSignature bounds a signature's name in a verdict, in bytes.
const maxSignature = 200

// judge reads the answer to INSTREAM.
func judge(answer string) (scanner.Result, error) {
	text, ofStream := strings.CutPrefix(answer, "stream: ")
	if ofStream && text == "OK" {
		return scanner.Result{Result: registry.VerdictClean}, nil
	}
	if name, ok := strings.CutSuffix(text, " FOUND"); ok && ofStream {
		return found(printable(name)), nil
	}
	if cause, ok := strings.CutSuffix(text, " ERROR"); ok { // not all errors are said to be the stream's
		// clamd's own and cl_strerror's words for its limits: "INSTREAM size limit exceeded",
		// "Time limit reached", "Exceeded max … limit".
		if strings.Contains(cause, "limit") {
			return scanner.Result{Result: registry.VerdictIncomplete, Reason: ReasonLimit}, nil
		}
		return scanner.Result{}, fmt.Errorf("%w: %.200q", errScan, cause)
	}
	return scanner.Result{}, fmt.Errorf("%w: %w: %.80q", scanner.ErrDown, errGarbage, answer)
}

// found tells malware from what clamd reports as such when its configuration
// demands (AlertExceedsMax, AlertEncrypted).
func found(name string) scanner.Result {
	switch {
	case strings.HasPrefix(name, "Heuristics.Limits.Exceeded"):
		return scanner.Result{Result: registry.VerdictIncomplete, Reason: ReasonLimit, Signature: name}
	case strings.HasPrefix(name, "Heuristics.Encrypted."):
		return scanner.Result{Result: registry.VerdictIncomplete, Reason: ReasonEncrypted, Signature: name}
	}
	return scanner.Result{Result: registry.VerdictInfected, Reason: ReasonMalware, Signature: name}
}

// printable is a name that may stand in a log, an audit event and a page.
func printable(name string) string {
	if len(name) > maxSignature {
		name = name[:maxSignature]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
}
