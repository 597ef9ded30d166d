package image_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"sallyport/registry"
	"sallyport/scanner"
	engine "sallyport/scanner/image"
)

// TestNothingToSay: what is no picture, or is not to be copied, is not even opened.
func TestNothingToSay(t *testing.T) {
	e := engine.New(engine.Config{})
	for _, test := range []struct {
		detected string
		rules    *registry.ImageRules
	}{{"image/png", nil}, {"text/plain; charset=utf-8", &registry.ImageRules{}}, {"image/svg+xml", &registry.ImageRules{}}, {"", &registry.ImageRules{}}} {
		r, err := e.Scan(t.Context(), scanner.Input{Detected: test.detected, Rules: registry.ScanRules{Image: test.rules}})
		if err != nil || r.Result != registry.VerdictClean || r.Renditions != nil {
			t.Errorf("%+v: %+v (%v)", test, r, err)
		}
	}
}

// limits are small, so that tests of what is beyond them are.
var limits = &registry.ImageRules{MaxPixels: 200_000, MaxFrames: 5, Thumbnails: []int{10}}

func TestRefusals(t *testing.T) {
	lossy := sample(t, "lossy.webp")
	huge := encodePNG(t, quarters(8, 8))
	binary.BigEndian.PutUint32(huge[16:], 60_000)
	binary.BigEndian.PutUint32(huge[20:], 60_000)
	hugeJPEG := encodeJPEG(t, quarters(8, 8))
	at := bytes.Index(hugeJPEG, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(hugeJPEG[at+5:], 65_000)
	binary.BigEndian.PutUint16(hugeJPEG[at+7:], 65_000)
	hugeGIF := encodeGIF(t, 1, image.Pt(0, 0), image.Pt(40, 40))
	binary.LittleEndian.PutUint16(hugeGIF[6:], 65_000)
	binary.LittleEndian.PutUint16(hugeGIF[8:], 65_000)
	twelve := encodeJPEG(t, quarters(8, 8))
	twelve[bytes.Index(twelve, []byte{0xff, 0xc0})+4] = 12
	red := solid(40, 40, colours[0])

	for name, test := range map[string]struct {
		kind    string
		content []byte
		result  registry.VerdictResult
		reason  string
	}{
		"HugePNG":      {"image/png", fixCRC(huge), registry.VerdictRefused, engine.ReasonPixels},
		"HugeJPEG":     {"image/jpeg", hugeJPEG, registry.VerdictRefused, engine.ReasonPixels},
		"HugeGIF":      {"image/gif", hugeGIF, registry.VerdictRefused, engine.ReasonPixels},
		"HugeWebP":     {"image/webp", riff(extended(0, 1<<24, 1<<24), lossy[12:]), registry.VerdictRefused, engine.ReasonMalformed},
		"LargeWebP":    {"image/webp", riff(extended(0, 1<<12, 1<<12), lossy[12:]), registry.VerdictRefused, engine.ReasonPixels},
		"LargePlain":   {"image/webp", riff(solid(16000, 16000, colours[0])), registry.VerdictRefused, engine.ReasonPixels},
		"SmallCanvas":  {"image/webp", riff(extended(0, 2, 2), solid(16000, 16000, colours[0])), registry.VerdictRefused, engine.ReasonMalformed},
		"GIFFrames":    {"image/gif", encodeGIF(t, 6, image.Pt(0, 0), image.Pt(40, 40)), registry.VerdictRefused, engine.ReasonFrames},
		"PNGFrames":    {"image/vnd.mozilla.apng", withChunk(encodePNG(t, quarters(8, 8)), "acTL", []byte{255, 255, 255, 255, 0, 0, 0, 0}), registry.VerdictRefused, engine.ReasonFrames},
		"WebPFrames":   {"image/webp", animated(40, 40, slices.Repeat([][]byte{moment(0, 0, 40, 40, red)}, 6)...), registry.VerdictRefused, engine.ReasonFrames},
		"WebPNoFrame":  {"image/webp", animated(40, 40), registry.VerdictRefused, engine.ReasonMalformed},
		"WebPOutside":  {"image/webp", animated(40, 40, moment(1, 0, 40, 40, red)), registry.VerdictRefused, engine.ReasonMalformed},
		"WebPLies":     {"image/webp", animated(40, 40, moment(0, 0, 4, 4, red)), registry.VerdictRefused, engine.ReasonMalformed},
		"WebPCutFrame": {"image/webp", animated(40, 40, []byte{0, 0, 0}), registry.VerdictRefused, engine.ReasonMalformed},
		"TwelveBits":   {"image/jpeg", twelve, registry.VerdictIncomplete, engine.ReasonUnsupported},
		"Empty":        {"image/png", nil, registry.VerdictRefused, engine.ReasonMalformed},
		"NotAtAll":     {"image/jpeg", []byte("<html>"), registry.VerdictRefused, engine.ReasonMalformed},
		"AnotherKind":  {"image/gif", encodePNG(t, quarters(8, 8)), registry.VerdictRefused, engine.ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := scan(t, newEngine(t), test.kind, test.content, limits)
			runtime.ReadMemStats(&after)
			if r.Result != test.result || r.Reason != test.reason || len(r.Renditions) != 0 {
				t.Errorf("got %+v", r)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
				t.Errorf("%d bytes were allocated", got)
			}
		})
	}
}

// fixCRC makes the checksum of a PNG's header right.
func fixCRC(b []byte) []byte {
	const kind = 12 // where the header chunk's kind stands; 13 bytes of data follow
	head := withChunk(b, "IHDR", b[kind+4:kind+4+13])
	copy(b[8:], head[8+12+13:8+12+13+12+13])
	return b
}

func TestFormats(t *testing.T) {
	grey16, deep, wide := image.NewGray16(image.Rect(0, 0, 40, 40)), image.NewNRGBA64(image.Rect(0, 0, 40, 40)), image.NewRGBA64(image.Rect(0, 0, 40, 40))
	grey := image.NewGray(image.Rect(0, 0, 40, 40))
	palette := color.Palette{color.NRGBA{1, 2, 3, 255}, colours[0], colours[1], colours[2], colours[3], color.NRGBA{4, 5, 6, 255}}
	painted := image.NewPaletted(image.Rect(0, 0, 40, 40), palette)
	clear := quarters(40, 40)
	for y := range 40 {
		for x := range 40 {
			c := clear.NRGBAAt(x, y)
			grey16.Set(x, y, color.White)
			grey.Set(x, y, color.White)
			wide.Set(x, y, c)
			painted.Set(x, y, c)
			c.A = 128
			deep.Set(x, y, c)
		}
	}
	for i := 3; i < len(clear.Pix); i += 4 {
		clear.Pix[i] = 128
	}
	q := quarters(40, 40)
	lossy, alpha := sample(t, "lossy.webp"), sample(t, "lossy-alpha.webp")
	vp8x := alpha[12:30]

	for name, test := range map[string]struct {
		kind    string
		content []byte
		made    string // format
		corners string // "" does not look
		alpha   uint32 // of the middle of a quarter
		w, h    int
	}{
		"JPEG":         {"image/jpeg", encodeJPEG(t, q), "image/jpeg", "rgbw", 0xffff, 40, 40},
		"GreyJPEG":     {"image/jpeg", encodeJPEG(t, grey), "image/jpeg", "wwww", 0xffff, 40, 40},
		"PNG":          {"image/png", encodePNG(t, q), "image/png", "rgbw", 0xffff, 40, 40},
		"ClearPNG":     {"image/png", encodePNG(t, clear), "image/png", "", 0x8080, 40, 40},
		"GreyPNG":      {"image/png", encodePNG(t, grey), "image/png", "wwww", 0xffff, 40, 40},
		"Grey16PNG":    {"image/png", encodePNG(t, grey16), "image/png", "wwww", 0xffff, 40, 40},
		"DeepPNG":      {"image/png", encodePNG(t, deep), "image/png", "", 0x8080, 40, 40},
		"WidePNG":      {"image/png", encodePNG(t, wide), "image/png", "rgbw", 0xffff, 40, 40},
		"PaintedPNG":   {"image/png", encodePNG(t, painted), "image/png", "rgbw", 0xffff, 40, 40},
		"GIF":          {"image/gif", encodeGIF(t, 1, image.Pt(0, 0), image.Pt(40, 40)), "image/png", "rgbw", 0xffff, 40, 40},
		"MovingGIF":    {"image/gif", encodeGIF(t, 5, image.Pt(0, 0), image.Pt(40, 40)), "image/png", "rgbw", 0xffff, 40, 40},
		"GIFOnCanvas":  {"image/gif", encodeGIF(t, 2, image.Pt(20, 0), image.Pt(60, 40)), "image/png", "", 0, 60, 40},
		"LossyWebP":    {"image/webp", lossy, "image/jpeg", "", 0xffff, 150, 100},
		"LossyAlpha":   {"image/webp", alpha, "image/png", "", 0, 0, 0},
		"Lossless":     {"image/webp", sample(t, "lossless-alpha.webp"), "image/png", "", 0, 0, 0},
		"SolidWebP":    {"image/webp; x=y", riff(solid(40, 30, colours[1])), "image/png", "gggg", 0xffff, 40, 30},
		"MovingWebP":   {"image/webp", animated(40, 30, moment(0, 0, 40, 30, solid(40, 30, colours[2])), moment(0, 0, 40, 30, solid(40, 30, colours[0]))), "image/png", "bbbb", 0xffff, 40, 30},
		"WebPOnCanvas": {"image/webp", animated(40, 30, moment(10, 0, 20, 30, solid(20, 30, colours[2]))), "image/png", "?b?b", 0, 40, 30},
		"MovingAlpha":  {"image/webp", animated(triple(vp8x[12:])+1, triple(vp8x[15:])+1, moment(0, 0, triple(vp8x[12:])+1, triple(vp8x[15:])+1, alpha[30:])), "image/png", "", 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := scan(t, newEngine(t), test.kind, test.content, limits)
			if r.Result != registry.VerdictClean || len(r.Renditions) != 2 {
				t.Fatalf("got %+v", r)
			}
			for i, made := range r.Renditions {
				b, m := content(t, made)
				sum := sha256.Sum256(b)
				if made.ContentType != test.made || made.SHA256 != hex.EncodeToString(sum[:]) || made.Name != []string{"clean", "thumb-10"}[i] {
					t.Errorf("made %+v", made.Rendition)
				}
				if test.corners != "" && corners(m) != test.corners {
					t.Errorf("%s has the corners %s", made.Name, corners(m))
				}
				if size := m.Bounds().Size(); i == 1 && max(size.X, size.Y) != 10 || i == 0 && test.w > 0 && size != image.Pt(test.w, test.h) {
					t.Errorf("%s is %v", made.Name, size)
				}
				if _, _, _, a := m.At(made.Width/4, made.Height/4).RGBA(); test.w > 0 && a != test.alpha {
					t.Errorf("%s has opacity %x", made.Name, a)
				}
			}
			again := scan(t, newEngine(t), test.kind, test.content, limits)
			if again.Renditions[0].Rendition != r.Renditions[0].Rendition || again.Renditions[1].Rendition != r.Renditions[1].Rendition {
				t.Error("the second time it is another one")
			}
		})
	}
}

func triple(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// TestWebPFirstFrameIsTheWhole: a frame is cut out with all that belongs to it.
func TestWebPFirstFrameIsTheWhole(t *testing.T) {
	alpha := sample(t, "lossy-alpha.webp")
	w, h := triple(alpha[24:])+1, triple(alpha[27:])+1
	still := scan(t, newEngine(t), "image/webp", alpha, limits)
	moving := scan(t, newEngine(t), "image/webp", animated(w, h, moment(0, 0, w, h, alpha[30:])), limits)
	if still.Renditions[0].Rendition != moving.Renditions[0].Rendition {
		t.Errorf("%+v is not %+v", moving.Renditions[0].Rendition, still.Renditions[0].Rendition)
	}
}

// TestOrientation: what Exif says of a picture is done, and then said no more.
func TestOrientation(t *testing.T) {
	// How "rgbw" is stored so that it is upright by each orientation's reading.
	want := [...]string{1: "rgbw", "grwb", "wbgr", "bwrg", "rbgw", "brwg", "wgbr", "gwrb"}
	for o := uint16(1); o <= 8; o++ {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			for kind, stored := range map[string][]byte{
				"image/jpeg": withExif(encodeJPEG(t, quarters(64, 32)), tiff(order, o)),
				"image/png":  withChunk(encodePNG(t, quarters(64, 32)), "eXIf", tiff(order, o)),
			} {
				r := scan(t, newEngine(t), kind, stored, limits)
				if r.Result != registry.VerdictClean {
					t.Fatalf("%s, orientation %d: %+v", kind, o, r)
				}
				b, m := content(t, r.Renditions[0])
				if got := corners(m); got != want[o] {
					t.Errorf("%s, orientation %d: corners are %s, want %s", kind, o, got, want[o])
				}
				if size := m.Bounds().Size(); size != image.Pt(64, 32) && o <= 4 || size != image.Pt(32, 64) && o > 4 {
					t.Errorf("%s, orientation %d: is %v", kind, o, size)
				}
				if bytes.Contains(b, []byte(secret)) || bytes.Contains(b, []byte("Exif")) || bytes.Contains(b, []byte("eXIf")) {
					t.Errorf("%s: metadata is in the copy", kind)
				}
				if _, m := content(t, r.Renditions[1]); corners(m) != want[o] {
					t.Errorf("%s, orientation %d: the thumbnail's corners are %s", kind, o, corners(m))
				}
			}
		}
	}
	turned := riff(extended(1<<3, 150, 100), sample(t, "lossy.webp")[12:], chunk("EXIF", tiff(binary.BigEndian, 6)))
	if r := scan(t, newEngine(t), "image/webp", turned, limits); len(r.Renditions) == 0 || r.Renditions[0].Width != 100 {
		t.Errorf("WebP: %+v", r)
	}
	for _, bad := range [][]byte{nil, []byte("II*\x00"), []byte("II*\x00\xff\xff\xff\xff"), tiff(binary.BigEndian, 9), tiff(binary.BigEndian, 6)[:20]} {
		r := scan(t, newEngine(t), "image/jpeg", withExif(encodeJPEG(t, quarters(64, 32)), bad), limits)
		if r.Result != registry.VerdictClean || r.Renditions[0].Width != 64 {
			t.Errorf("Exif %q: %+v", bad, r)
		}
	}
}

// TestHiddenBytes: what no one sees of a picture is not in its copy.
func TestHiddenBytes(t *testing.T) {
	script := []byte("<script>alert(1)</script>")
	palette := color.Palette{colours[0], colours[1], colours[2], colours[3]}
	for i := 0; i+3 <= len(script); i += 3 {
		palette = append(palette, color.NRGBA{script[i], script[i+1], script[i+2], 255})
	}
	painted := image.NewPaletted(image.Rect(0, 0, 8, 8), palette)
	stored := encodePNG(t, painted)
	for name, content := range map[string][]byte{
		"Palette": stored,
		"Text":    withChunk(encodePNG(t, quarters(8, 8)), "tEXt", append([]byte("Comment\x00"), script...)),
		"Behind":  append(encodePNG(t, quarters(8, 8)), script...),
	} {
		if !bytes.Contains(content, script[:24]) {
			t.Fatalf("%s: nothing is hidden in it", name)
		}
		for _, made := range scan(t, newEngine(t), "image/png", content, limits).Renditions {
			b, err := io.ReadAll(io.NewSectionReader(made.File, 0, made.Size))
			if err != nil || bytes.Contains(b, script[:6]) {
				t.Errorf("%s: it is in %s (%v)", name, made.Name, err)
			}
		}
	}
}

func TestThumbnails(t *testing.T) {
	for _, test := range []struct {
		w, h  int
		edges []int
		want  []image.Point
	}{
		{64, 32, []int{32, 16, 16, 200, 0, -1, 5000}, []image.Point{{64, 32}, {64, 32}, {32, 16}, {16, 8}}},
		{1, 3000, []int{100}, []image.Point{{1, 3000}, {1, 100}}},
		{100, 100, []int{99, 1}, []image.Point{{100, 100}, {99, 99}, {1, 1}}},
		{300, 200, nil, []image.Point{{300, 200}, {256, 170}}},
		{40, 40, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, []image.Point{{40, 40}, {8, 8}, {7, 7}, {6, 6}, {5, 5}, {4, 4}, {3, 3}, {2, 2}, {1, 1}}},
	} {
		r := scan(t, newEngine(t), "image/png", encodePNG(t, quarters(test.w, test.h)), &registry.ImageRules{Thumbnails: test.edges})
		var got []image.Point
		for _, made := range r.Renditions {
			_, m := content(t, made)
			got = append(got, m.Bounds().Size())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%d×%d with %v: %v, want %v", test.w, test.h, test.edges, got, test.want)
		}
	}
	// Squares that do not go into the picture do not darken its edge.
	white := image.NewGray(image.Rect(0, 0, 103, 57))
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	r := scan(t, newEngine(t), "image/png", encodePNG(t, white), &registry.ImageRules{Thumbnails: []int{10}})
	_, m := content(t, r.Renditions[1])
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			if v, _, _, a := m.At(x, y).RGBA(); v != 0xffff || a != 0xffff {
				t.Fatalf("white is %x at %d, %d", v, x, y)
			}
		}
	}
}

// TestDamage cuts pictures everywhere and flips their bits: there is a verdict, and no
// picture that ends early is copied.
func TestDamage(t *testing.T) {
	e := newEngine(t)
	for kind, whole := range map[string][]byte{
		"image/jpeg": withExif(encodeJPEG(t, quarters(32, 16)), tiff(binary.LittleEndian, 6)),
		"image/png":  encodePNG(t, quarters(32, 16)),
		"image/gif":  encodeGIF(t, 2, image.Pt(0, 0), image.Pt(40, 40)),
		"image/webp": animated(40, 40, moment(0, 0, 40, 40, solid(40, 40, colours[1]))),
	} {
		f, err := os.Create(filepath.Join(t.TempDir(), "damaged"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		judge := func(b []byte) scanner.Result {
			t.Helper()
			if err := errors.Join(f.Truncate(0), f.Sync()); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(b, 0); err != nil {
				t.Fatal(err)
			}
			r, err := e.Scan(t.Context(), scanner.Input{
				Detected: kind, Rules: registry.ScanRules{Image: limits},
				File: func(context.Context) (*os.File, error) { return f, nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, made := range r.Renditions {
				made.File.Close()
			}
			return r
		}
		step := max(1, len(whole)/100)
		for n := 0; n < len(whole)-8; n += step {
			if r := judge(whole[:n]); r.Result != registry.VerdictRefused || r.Reason != engine.ReasonMalformed {
				t.Errorf("%s cut to %d of %d bytes: %s %s", kind, n, len(whole), r.Result, r.Reason)
			}
		}
		for i := 0; i < len(whole); i += step {
			b := bytes.Clone(whole)
			b[i] ^= 1 << (i % 8)
			if r := judge(b); (r.Result == registry.VerdictClean) != (len(r.Renditions) == 2) {
				t.Errorf("%s with bit %d flipped: %+v", kind, i, r)
			}
		}
	}
}

// rogue is a job that was taken over.
type rogue struct {
	frames []sent
	reply  string
	err    error
}

type sent struct {
	kind, header string
	body         string
}

func (r rogue) Run(_ context.Context, _ string, _ *os.File, _ any, frame func(string, json.RawMessage, io.Reader) error) (json.RawMessage, error) {
	for _, f := range r.frames {
		if err := frame(f.kind, json.RawMessage(f.header), io.MultiReader(bytes.NewReader([]byte(f.body)))); err != nil {
			return nil, fmt.Errorf("discarded: %w", err)
		}
	}
	return json.RawMessage(r.reply), r.err
}

type killed string

func (k killed) Error() string    { return "killed" }
func (k killed) KilledBy() string { return string(k) }

func TestJobsAreNotBelieved(t *testing.T) {
	const good = `{"name":"clean","content_type":"image/png","width":2,"height":2}`
	pixels := string(encodePNG(t, quarters(2, 2)))
	frame := func(header, body string) []sent { return []sent{{"rendition", header, body}} }
	for name, job := range map[string]rogue{
		"AnotherKind":   {frames: []sent{{"thing", good, pixels}}},
		"NoHeader":      {frames: frame(`[]`, pixels)},
		"AnotherName":   {frames: frame(`{"name":"../x","content_type":"image/png","width":2,"height":2}`, pixels)},
		"Twice":         {frames: append(frame(good, pixels), frame(good, pixels)...)},
		"NoSize":        {frames: frame(`{"name":"clean","content_type":"image/png"}`, pixels)},
		"TooLarge":      {frames: frame(`{"name":"clean","content_type":"image/png","width":60000,"height":60000}`, pixels)},
		"Type":          {frames: frame(`{"name":"clean","content_type":"text/html","width":2,"height":2}`, pixels)},
		"Page":          {frames: frame(good, "<html><script>")},
		"OtherPicture":  {frames: frame(good, string(encodeJPEG(t, quarters(2, 2))))},
		"Endless":       {frames: frame(good, pixels+string(make([]byte, 2<<20)))},
		"Missing":       {reply: `{"reason":""}`},
		"UnknownReason": {reply: `{"reason":"anything"}`},
		"NoReply":       {reply: `"`},
		"Broken":        {err: io.ErrUnexpectedEOF},
	} {
		e := engine.New(engine.Config{Runner: job, SpoolDir: t.TempDir()})
		r, err := try(t, e, "image/png", nil, limits)
		if err == nil || errors.Is(err, scanner.ErrDown) || r.Renditions != nil {
			t.Errorf("%s: %+v (%v)", name, r, err)
		}
	}
	e := engine.New(engine.Config{Runner: rogue{frames: frame(good, pixels), err: fmt.Errorf("run: %w", killed("memory"))}, SpoolDir: t.TempDir()})
	if r, err := try(t, e, "image/png", nil, limits); err != nil || r.Result != registry.VerdictIncomplete || r.Reason != "sandbox_memory" || r.Renditions != nil {
		t.Errorf("killed: %+v (%v)", r, err)
	}
	e = engine.New(engine.Config{Runner: rogue{err: fmt.Errorf("start: %w", scanner.ErrDown)}})
	if _, err := try(t, e, "image/png", nil, limits); !errors.Is(err, scanner.ErrDown) {
		t.Errorf("down: %v", err)
	}
	// A spool that cannot be written is no fault of the picture's.
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e = engine.New(engine.Config{Runner: rogue{frames: frame(good, pixels)}, SpoolDir: blocked})
	if _, err := try(t, e, "image/png", nil, limits); !errors.Is(err, scanner.ErrDown) || bytes.Contains([]byte(err.Error()), []byte(blocked)) {
		t.Errorf("no spool: %v", err)
	}
}

// TestSpoolIsEmpty: what is made has no name.
func TestSpoolIsEmpty(t *testing.T) {
	dir := t.TempDir()
	e := engine.New(engine.Config{Runner: here{}, SpoolDir: dir})
	if r := scan(t, e, "image/png", encodePNG(t, quarters(8, 8)), limits); len(r.Renditions) != 2 {
		t.Fatalf("got %+v", r)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left are %v (%v)", left, err)
	}
}

func FuzzJob(f *testing.F) {
	kinds := []string{"image/jpeg", "image/png", "image/gif", "image/webp"}
	f.Add(uint8(0), withExif(encodeJPEG(f, quarters(8, 8)), tiff(binary.LittleEndian, 6)))
	f.Add(uint8(1), withChunk(encodePNG(f, quarters(8, 8)), "eXIf", tiff(binary.BigEndian, 3)))
	f.Add(uint8(2), encodeGIF(f, 2, image.Pt(2, 2), image.Pt(50, 50)))
	f.Add(uint8(3), animated(40, 40, moment(1, 1, 30, 30, solid(30, 30, colours[1]))))
	f.Add(uint8(3), riff(extended(1<<3, 150, 100), sample(f, "lossy.webp")[12:], chunk("EXIF", tiff(binary.BigEndian, 6))))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		e := engine.New(engine.Config{Runner: here{}, SpoolDir: t.TempDir()})
		r := scan(t, e, kinds[int(kind)%len(kinds)], b, limits)
		if (r.Result == registry.VerdictClean) != (len(r.Renditions) == 2) {
			t.Errorf("%+v", r)
		}
		for _, made := range r.Renditions {
			content(t, made)
		}
	})
}
