package main

import (
	"time"

	"github.com/spf13/pflag"

	"sallyport/cmd/sallyport/client"
	"sallyport/cmd/sallyport/config"
)

// scanFlags are what profile set can change of how objects are inspected.
type scanFlags struct {
	mode                     string
	engines                  []string
	executables, active, two bool
	depth, entries, ratio    int
	unpacked                 string
	encrypted                bool
	images, imageInline      bool
	pixels                   int64
	frames                   int
	thumbnails               []int
	keep                     time.Duration
}

func (f *scanFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.mode, "scan", "", `when to look for malware: async, inline (direct profiles) or off; "" is the server's default`)
	flags.StringSliceVar(&f.engines, "scan-engine", nil, "malware engines to ask; none is all that there are")
	flags.BoolVar(&f.executables, "allow-executables", false, "take programs and scripts")
	flags.BoolVar(&f.active, "allow-active", false, "take what a browser would run, as attachments: HTML, SVG, polyglots")
	flags.IntVar(&f.depth, "archive-depth", 0, "archives in archives; 0 is the server's default, as below")
	flags.IntVar(&f.entries, "archive-entries", 0, "members of archives")
	flags.StringVar(&f.unpacked, "archive-bytes", "", "bytes to unpack, e.g. 1GiB")
	flags.IntVar(&f.ratio, "archive-ratio", 0, "unpacked to packed bytes")
	flags.BoolVar(&f.encrypted, "archive-encrypted", false, "let members through that cannot be looked at")
	flags.BoolVar(&f.images, "images", false, "make images anew, as renditions")
	flags.Int64Var(&f.pixels, "image-pixels", 0, "pixels of one frame; turns --images on, as do those below")
	flags.IntVar(&f.frames, "image-frames", 0, "frames of an animation")
	flags.IntSliceVar(&f.thumbnails, "thumbnail", nil, "thumbnails to make: the longer edge of each, in pixels")
	flags.BoolVar(&f.imageInline, "image-inline", false, "let renditions be shown in pages")
	flags.BoolVar(&f.two, "two-persons", false, "a release needs two analysts")
	flags.DurationVar(&f.keep, "keep-rejected", 0, "how long rejected bytes are kept; 0 is the server's default")
}

// change applies the flags that were given.
func (f *scanFlags) change(s *client.Scan, flags *pflag.FlagSet) error {
	archive, image := client.Archive{}, client.Image{}
	if s.Archive != nil {
		archive = *s.Archive
	}
	images := s.Image != nil
	if images {
		image = *s.Image
	}
	if flags.Changed("archive-bytes") {
		var size config.Size
		if err := size.UnmarshalText([]byte(f.unpacked)); err != nil {
			return err
		}
		archive.MaxBytes = int64(size)
	}
	for _, flag := range []struct {
		name string
		set  func()
	}{
		{"scan", func() { s.Mode = f.mode }},
		{"scan-engine", func() { s.Engines = f.engines }},
		{"allow-executables", func() { s.Executables = f.executables }},
		{"allow-active", func() { s.Active = f.active }},
		{"archive-depth", func() { archive.MaxDepth = f.depth }},
		{"archive-entries", func() { archive.MaxEntries = f.entries }},
		{"archive-ratio", func() { archive.MaxRatio = f.ratio }},
		{"archive-encrypted", func() { archive.Encrypted = f.encrypted }},
		{"image-pixels", func() { images, image.MaxPixels = true, f.pixels }},
		{"image-frames", func() { images, image.MaxFrames = true, f.frames }},
		{"thumbnail", func() { images, image.Thumbnails = true, f.thumbnails }},
		{"image-inline", func() { images, image.Inline = true, f.imageInline }},
		{"images", func() { images = f.images }},
		{"two-persons", func() { s.TwoPersons = f.two }},
		{"keep-rejected", func() { s.KeepRejected = lifetime(f.keep) }},
	} {
		if flags.Changed(flag.name) {
			flag.set()
		}
	}
	s.Archive, s.Image = nil, nil
	if archive != (client.Archive{}) {
		s.Archive = &archive
	}
	if images {
		s.Image = &image
	}
	return nil
}
