package policy

import (
	"fmt"
	"time"

	"sallyport/registry"
)

// Most that a profile's inspection may be told. They keep a slip of the keyboard from
// filling memory or time; each is far beyond what a server should be given.
const (
	maxEngines    = 16
	maxDepth      = 64
	maxEntries    = 10_000_000
	maxRatio      = 1_000_000
	maxPixels     = 1 << 31
	maxFrames     = 100_000
	maxThumbnails = 8
	maxThumbnail  = 4096 // pixels of the longer edge
	minThumbnail  = 16
)

// maxKeepRejected is the longest that a profile may keep rejected bytes: 100 years of
// 365 days.
const maxKeepRejected = 100 * 365 * 24 * time.Hour

// ScanRules decides whether an administrator may have objects of a bucket with this
// intake inspected so. It returns ErrInvalid or ErrInvalidTTL.
func ScanRules(r registry.ScanRules, intake registry.Intake) error {
	switch r.Mode {
	case registry.ScanDefault, registry.ScanAsync:
	case registry.ScanInline:
		if intake != registry.IntakeDirect {
			return fmt.Errorf("%w: only a direct profile scans inline", ErrInvalid)
		}
	case registry.ScanOff:
		if len(r.Engines) > 0 {
			return fmt.Errorf("%w: scan mode off asks no engines", ErrInvalid)
		}
	default:
		return fmt.Errorf("%w: scan mode is async, inline or off", ErrInvalid)
	}
	if err := engines(r.Engines); err != nil {
		return err
	}
	if r.KeepRejected != 0 {
		if _, err := within("keep_rejected", r.KeepRejected, 0, time.Second, maxKeepRejected); err != nil {
			return err
		}
	}
	for _, n := range []struct {
		name        string
		value, most int64
	}{
		{"max_depth", int64(r.Archive.MaxDepth), maxDepth},
		{"max_entries", int64(r.Archive.MaxEntries), maxEntries},
		{"max_bytes", r.Archive.MaxBytes, MaxObject},
		{"max_ratio", int64(r.Archive.MaxRatio), maxRatio},
	} {
		if n.value < 0 || n.value > n.most {
			return fmt.Errorf("%w: %s of archives is at most %d", ErrInvalid, n.name, n.most)
		}
	}
	return images(r.Image)
}

func engines(names []string) error {
	if len(names) > maxEngines {
		return fmt.Errorf("%w: at most %d engines", ErrInvalid, maxEngines)
	}
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if !engineName(name) || seen[name] {
			return fmt.Errorf("%w: engines are names such as clamd, each once", ErrInvalid)
		}
		seen[name] = true
	}
	return nil
}

// engineName tells whether a name can be an engine's.
func engineName(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func images(r *registry.ImageRules) error {
	switch {
	case r == nil:
		return nil
	case r.MaxPixels < 0 || r.MaxPixels > maxPixels:
		return fmt.Errorf("%w: max_pixels of images is at most %d", ErrInvalid, int64(maxPixels))
	case r.MaxFrames < 0 || r.MaxFrames > maxFrames:
		return fmt.Errorf("%w: max_frames of images is at most %d", ErrInvalid, maxFrames)
	case len(r.Thumbnails) > maxThumbnails:
		return fmt.Errorf("%w: at most %d thumbnails", ErrInvalid, maxThumbnails)
	}
	seen := make(map[int]bool, len(r.Thumbnails))
	for _, edge := range r.Thumbnails {
		if edge < minThumbnail || edge > maxThumbnail || seen[edge] {
			return fmt.Errorf("%w: thumbnails are of %d to %d pixels, each once", ErrInvalid, minThumbnail, maxThumbnail)
		}
		seen[edge] = true
	}
	return nil
}
