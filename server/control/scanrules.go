package control

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"sallyport/registry"
)

// scanRules is how a profile's objects are inspected, in both directions. What is left
// out is the server's default.
type scanRules struct {
	Mode         registry.ScanMode `json:"mode,omitempty"`
	Engines      []string          `json:"engines,omitempty"`
	Executables  bool              `json:"executables,omitempty"`
	Active       bool              `json:"active,omitempty"`
	Archive      *archiveRules     `json:"archive,omitempty"`
	Image        *imageRules       `json:"image,omitempty"`
	TwoPersons   bool              `json:"two_persons,omitempty"`
	KeepRejected duration          `json:"keep_rejected,omitempty"`
}

type archiveRules struct {
	MaxDepth   int   `json:"max_depth,omitempty"`
	MaxEntries int   `json:"max_entries,omitempty"`
	MaxBytes   int64 `json:"max_bytes,omitempty"`
	MaxRatio   int   `json:"max_ratio,omitempty"`
	Encrypted  bool  `json:"encrypted,omitempty"`
}

type imageRules struct {
	MaxPixels  int64 `json:"max_pixels,omitempty"`
	MaxFrames  int   `json:"max_frames,omitempty"`
	Thumbnails []int `json:"thumbnails,omitempty"`
	Inline     bool  `json:"inline,omitempty"`
}

func scanRulesOf(r registry.ScanRules) *scanRules {
	out := &scanRules{
		Mode: r.Mode, Engines: r.Engines, Executables: r.Executables, Active: r.Active,
		TwoPersons: r.TwoPersons, KeepRejected: duration(r.KeepRejected),
	}
	if r.Archive != (registry.ArchiveRules{}) {
		a := archiveRules(r.Archive)
		out.Archive = &a
	}
	if r.Image != nil {
		i := imageRules(*r.Image)
		out.Image = &i
	}
	return out
}

// rules are the ledger's; none are the defaults.
func (s *scanRules) rules() (r registry.ScanRules) {
	if s == nil {
		return r
	}
	r = registry.ScanRules{
		Mode: s.Mode, Engines: s.Engines, Executables: s.Executables, Active: s.Active,
		TwoPersons: s.TwoPersons, KeepRejected: time.Duration(s.KeepRejected),
	}
	if s.Archive != nil {
		r.Archive = registry.ArchiveRules(*s.Archive)
	}
	if s.Image != nil {
		i := registry.ImageRules(*s.Image)
		r.Image = &i
	}
	return r
}

// UnmarshalJSON is as strict as decode is about what is around it.
func (s *scanRules) UnmarshalJSON(b []byte) error {
	type plain scanRules
	return strictly(b, "scan", (*plain)(s))
}

// UnmarshalJSON is likewise strict.
func (a *archiveRules) UnmarshalJSON(b []byte) error {
	type plain archiveRules
	return strictly(b, "scan.archive", (*plain)(a))
}

// UnmarshalJSON is likewise strict.
func (i *imageRules) UnmarshalJSON(b []byte) error {
	type plain imageRules
	return strictly(b, "scan.image", (*plain)(i))
}

// strictly reads a field of a body that is an object by itself.
func strictly(b []byte, name string, v any) error {
	if len(b) == 0 || b[0] != '{' {
		return fmt.Errorf("%w: body: field %q is to be an object", errInvalid, name)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return jsonTrouble(err)
	}
	return checkMembers(b, reflect.TypeOf(v).Elem())
}
