package registry

import (
	"fmt"
	"time"
)

// ScanMode says when what is written to a bucket is inspected for malware.
type ScanMode string

const (
	// ScanDefault is ScanAsync in a quarantine bucket. In a direct one it is ScanInline
	// where there is an engine that looks for malware, and else built-in inspection
	// before the answer.
	ScanDefault ScanMode = ""
	// ScanAsync queues: what was written is published when the engines are done.
	ScanAsync ScanMode = "async"
	// ScanInline answers a write only when the engines are done.
	ScanInline ScanMode = "inline"
	// ScanOff asks no malware engine. Verdicts say so.
	ScanOff ScanMode = "off"
)

// ScanRules is how the objects of a bucket are inspected. The zero value is the
// server's defaults.
type ScanRules struct {
	Mode ScanMode
	// Engines are the malware engines to ask, by name; none is all that the server
	// has. Built-in inspection is always on.
	Engines []string
	// Executables allows programs and scripts.
	Executables bool
	// Active allows documents that browsers would run: HTML, SVG, polyglots. They
	// are served as attachments only.
	Active bool
	// Archive bounds what is unpacked.
	Archive ArchiveRules
	// Image, if set, has images re-encoded as renditions.
	Image *ImageRules
	// TwoPersons demands a second analyst's approval of a release.
	TwoPersons bool
	// KeepRejected is how long rejected bytes are kept for review before they are
	// destroyed; 0 is the server's.
	KeepRejected time.Duration
}

// ArchiveRules bound what is unpacked of one object. A zero field is the server's
// default. More than that is VerdictIncomplete.
type ArchiveRules struct {
	MaxDepth   int   // archives in archives
	MaxEntries int   // members, of all depths
	MaxBytes   int64 // unpacked, of all members
	MaxRatio   int   // unpacked to packed bytes, of the whole
	// Encrypted lets members through that cannot be looked at; else they make the
	// object incomplete.
	Encrypted bool
}

// ImageRules say what is made of an image. A zero field is the server's default.
type ImageRules struct {
	MaxPixels  int64 // of one frame, by the header; more is VerdictRefused
	MaxFrames  int
	Thumbnails []int // the longer edge of each, in pixels
	// Inline lets renditions be shown in a browser's page.
	Inline bool
}

// Rendition is a clean copy that an engine made of an object, kept beside it.
type Rendition struct {
	Name        string // "clean", "thumb-256": unique for the object, a word
	ContentType string
	Width       int // pixels
	Height      int
	Size        int64  // bytes
	SHA256      string // hex
	Blob        BlobKey
}

// valid is ErrInvalid for rules that no row can hold; whether they make sense is
// policy's to say.
func (r *ScanRules) valid() error {
	numbers := []int64{int64(r.Archive.MaxDepth), int64(r.Archive.MaxEntries), r.Archive.MaxBytes, int64(r.Archive.MaxRatio), int64(r.KeepRejected)}
	if r.Image != nil {
		numbers = append(numbers, r.Image.MaxPixels, int64(r.Image.MaxFrames))
		for _, edge := range r.Image.Thumbnails {
			numbers = append(numbers, int64(edge))
		}
	}
	for _, n := range numbers {
		if n < 0 {
			return fmt.Errorf("%w: a scan limit is negative", ErrInvalid)
		}
	}
	switch r.Mode {
	case ScanDefault, ScanAsync, ScanInline, ScanOff:
		return nil
	}
	return fmt.Errorf("%w: scan mode", ErrInvalid)
}

func (r *ScanRules) fields(c *codec) {
	text(c, &r.Mode)
	list(c, &r.Engines, func(s *string) { text(c, s) })
	c.bool(&r.Executables)
	c.bool(&r.Active)
	whole(c, &r.Archive.MaxDepth)
	whole(c, &r.Archive.MaxEntries)
	whole(c, &r.Archive.MaxBytes)
	whole(c, &r.Archive.MaxRatio)
	c.bool(&r.Archive.Encrypted)
	maybe(c, &r.Image, func(i *ImageRules) {
		whole(c, &i.MaxPixels)
		whole(c, &i.MaxFrames)
		list(c, &i.Thumbnails, func(n *int) { whole(c, n) })
		c.bool(&i.Inline)
	})
	c.bool(&r.TwoPersons)
	whole(c, &r.KeepRejected)
}
