// Package filetype is the engine that mistrusts types: it looks for programs and
// scripts, for documents that browsers run (HTML, SVG), for files that are two things
// at once, and for names that promise another kind of content.
//
// What the content is called is package inspect's to say, and whether a bucket allows
// that type policy's. Here the content itself is read, whole where it is an image, a
// PDF or XML, in a sandboxed child (Job); the parent (Engine) holds what the child
// found against the bucket's rules. Images and PDFs are read whole because there the
// second file hides; a video's frames are not.
package filetype

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"sallyport/registry"
	"sallyport/scanner"
)

// Reasons of this engine's verdicts.
const (
	// ReasonExecutable: a program, an installer, a script or a document with macros, by
	// content or by name.
	ReasonExecutable = "executable"
	// ReasonActive: a document that runs: HTML, SVG, XML that becomes either, a PDF
	// with JavaScript or one that starts programs.
	ReasonActive = "active_content"
	// ReasonPolyglot: the content is valid as a second thing, or carries one.
	ReasonPolyglot = "polyglot"
	// ReasonExtension: the file name promises another kind of content.
	ReasonExtension = "extension_mismatch"
	// ReasonName: the file name is written to be misread.
	ReasonName = "deceptive_name"
	// ReasonUnreadable: a PDF packs its objects so that they cannot be looked at.
	ReasonUnreadable = "unreadable_part"
	// ReasonChild: the child's answer makes no sense.
	ReasonChild = "filetype_answer"
	// ReasonSandbox, followed by what ended the child: "sandbox_timeout".
	ReasonSandbox = "sandbox_"
)

// Runner runs a job in a sandboxed child (sandbox.Pool). A child that was killed gives
// an error with a method KilledBy() string.
type Runner interface {
	Run(ctx context.Context, job string, in *os.File, params any,
		frame func(kind string, header json.RawMessage, body io.Reader) error) (json.RawMessage, error)
}

// JobName is the name that the Runner has Job under.
const JobName = "filetype"

// version is written into verdicts. It changes with what the engine finds.
const version = "1"

// Engine is a scanner.Engine. It is safe for concurrent use.
type Engine struct {
	runner Runner
}

var _ scanner.Engine = (*Engine)(nil)

// New returns an engine. It wants its place behind an engine that says the content's
// type.
func New(runner Runner) *Engine { return &Engine{runner: runner} }

// Name implements scanner.Engine.
func (*Engine) Name() string { return "filetype" }

// Scan implements scanner.Engine.
func (e *Engine) Scan(ctx context.Context, in scanner.Input) (scanner.Result, error) {
	if in.Object.Size == 0 {
		return byName(in, NoClass), nil
	}
	if in.Rules.Executables && in.Rules.Active && in.Object.Filename == "" {
		// Nothing that could be found would be refused.
		return scanner.Result{Result: registry.VerdictClean, Version: version}, nil
	}
	file, err := in.File(ctx)
	if err != nil {
		return scanner.Result{}, fmt.Errorf("filetype: %w", err)
	}
	raw, err := e.runner.Run(ctx, JobName, file, Params{Size: in.Object.Size, Detected: mediaType(in.Detected)}, noFrames)
	var killed interface{ KilledBy() string }
	switch {
	case ctx.Err() != nil:
		return scanner.Result{}, fmt.Errorf("filetype: %w", ctx.Err())
	case errors.As(err, &killed):
		return incomplete(ReasonSandbox + killed.KilledBy()), nil
	case err != nil:
		return scanner.Result{}, fmt.Errorf("filetype: %w", err)
	}
	var reply Reply
	if err := json.Unmarshal(raw, &reply); err != nil {
		return incomplete(ReasonChild), nil
	}
	return hold(reply.Findings, in), nil
}

// noFrames takes nothing: this job sends none.
func noFrames(string, json.RawMessage, io.Reader) error { return nil }

// hold holds what a child found against a bucket's rules. A refusal weighs more than
// what could not be read.
func hold(findings []Finding, in scanner.Input) scanner.Result {
	class := classOf(mediaType(in.Detected))
	result := scanner.Result{Result: registry.VerdictClean, Version: version}
	for _, f := range findings {
		switch reason, allowed := judge(f, in.Rules); {
		case reason == ReasonUnreadable, reason == ReasonChild:
			result = incomplete(reason)
		case !allowed:
			return refused(reason)
		}
	}
	switch {
	case slices.Contains(findings, FoundProgram), slices.Contains(findings, FoundScript):
		class = Program
	case slices.Contains(findings, FoundMarkup):
		class = Markup
	case class == Program && !in.Rules.Executables:
		return refused(ReasonExecutable)
	case class == Markup && !in.Rules.Active:
		return refused(ReasonActive)
	}
	if named := byName(in, class); named.Result != registry.VerdictClean {
		return named
	}
	return result
}

// judge says what a finding means under a bucket's rules.
func judge(f Finding, rules registry.ScanRules) (reason string, allowed bool) {
	switch f {
	case FoundProgram, FoundScript, FoundMacro:
		return ReasonExecutable, rules.Executables
	case FoundMarkup, FoundAction:
		return ReasonActive, rules.Active
	case HiddenMarkup, HiddenScript, HiddenArchive, HiddenDocument:
		return ReasonPolyglot, rules.Active
	case HiddenProgram:
		return ReasonPolyglot, rules.Active && rules.Executables
	case Unreadable:
		return ReasonUnreadable, false
	}
	return ReasonChild, false
}

// byName holds the file name against the content's class. Objects that were written
// through the S3 port have none: their keys promise nothing.
func byName(in scanner.Input, content Class) scanner.Result {
	name := in.Object.Filename
	if strings.ContainsFunc(name, misleads) {
		return refused(ReasonName)
	}
	promised := promise(name)
	switch {
	case promised == Program && !in.Rules.Executables:
		return refused(ReasonExecutable)
	case promised == Markup && !in.Rules.Active:
		return refused(ReasonActive)
	case !promised.holds(content):
		return refused(ReasonExtension)
	}
	return scanner.Result{Result: registry.VerdictClean, Version: version}
}

// misleads says whether a character turns a name around or cannot be seen: "gpj.exe"
// written backwards reads "exe.jpg". The marks that names in Arabic and Hebrew have for
// good reason are not among them.
func misleads(r rune) bool {
	embeds := r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
	return embeds || unicode.IsControl(r) || r == '\u200b' || r == '\ufeff'
}

// mediaType cuts the parameters off.
func mediaType(detected string) string {
	media, _, _ := strings.Cut(detected, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

func refused(reason string) scanner.Result {
	return scanner.Result{Result: registry.VerdictRefused, Reason: reason, Version: version}
}

func incomplete(reason string) scanner.Result {
	return scanner.Result{Result: registry.VerdictIncomplete, Reason: reason, Version: version}
}
