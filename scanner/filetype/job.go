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
)

// Params are what the parent asks of a child.
type Params struct {
	Size     int64  `json:"size"`
	Detected string `json:"detected"` // media type, without parameters
}

// Finding is one thing that a child saw.
type Finding string

// The findings. Hidden ones are in content that is something else.
const (
	FoundProgram Finding = "program"
	FoundScript  Finding = "script"
	FoundMarkup  Finding = "markup"
	FoundAction  Finding = "action" // of a PDF: JavaScript, starting programs
	FoundMacro   Finding = "macro"  // of an office document

	HiddenMarkup   Finding = "hidden_markup"
	HiddenScript   Finding = "hidden_script"
	HiddenArchive  Finding = "hidden_archive"
	HiddenProgram  Finding = "hidden_program"
	HiddenDocument Finding = "hidden_document"

	Unreadable Finding = "unreadable"
)

// Reply is what a child found, each thing once.
type Reply struct {
	Findings []Finding `json:"findings"`
}

// Hostile says whether somebody made this content to be taken for something else. The
// child that looked at it is not used again.
func (r Reply) Hostile() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return strings.HasPrefix(string(f), "hidden_") })
}

// headSize is how much of the beginning decides what content is as a whole: what
// browsers look at, and a bit more for comments before it.
const headSize = 4096

// look is one content under a child's eyes.
type look struct {
	ctx      context.Context
	content  *io.SectionReader
	head     []byte
	detected string
	found    []Finding
	stream   int64 // where the last object stream of a PDF began
}

// Job looks at one content in the child. It opens no frames.
func Job(ctx context.Context, in *os.File, raw json.RawMessage, _ func(kind string, header any) (io.WriteCloser, error)) (any, error) {
	var p Params
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("filetype: parameters: %w", err)
	}
	l := &look{ctx: ctx, content: io.NewSectionReader(in, 0, p.Size), detected: p.Detected}
	if err := l.all(); err != nil {
		return nil, fmt.Errorf("filetype: %w", err)
	}
	return Reply{Findings: l.found}, nil
}

func (l *look) all() error {
	head, err := l.read(0, headSize)
	if err != nil {
		return err
	}
	l.head = head
	text := strings.HasPrefix(l.detected, "text/")
	switch {
	case isProgram(l.content, head):
		l.note(FoundProgram)
	case isScript(head):
		l.note(FoundScript)
	case beginsMarkup(head):
		l.note(FoundMarkup)
	}
	switch {
	case isPDF(l.detected):
		if err = l.pdf(); err == nil && beginsMedia(head) {
			err = l.image()
		}
	case strings.HasPrefix(l.detected, "image/") && l.detected != "image/svg+xml":
		err = l.image()
	case holdsMacros(head):
		err = l.macros()
	case text && beginsXML(head), strings.HasSuffix(l.detected, "xml"):
		err = l.xml()
	}
	if err != nil {
		return err
	}
	if pdfAt(head) > 0 && (classOf(l.detected) == Media || beginsMedia(head)) {
		l.note(HiddenDocument)
	}
	return l.tail()
}

func isPDF(media string) bool { return media == "application/pdf" || media == "application/vnd.fdf" }

func (l *look) note(f Finding) {
	if !slices.Contains(l.found, f) {
		l.found = append(l.found, f)
	}
}

// read returns up to n bytes from an offset.
func (l *look) read(at int64, n int) ([]byte, error) {
	b := make([]byte, n)
	k, err := l.content.ReadAt(b, max(at, 0))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:k], nil
}
