package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"sallyport/registry"
	"sallyport/scanner"
	"sallyport/scanner/archive"
)

// bzippedMarker is what bzip2 -9 makes of the marker and a line feed.
const bzippedMarker = "QlpoOTFBWSZTWdGKMj8AAA5WAAAQAAIjapwAIAAhqaaaHqb1QgGgAo2cnlu2QprsJsWfaR8XckU4UJDRijI/"

const hello = "hello, world\n"

func bad(name string) file { return file{name, "before " + marker + " after"} }

// TestFormats has the marker found in each format, alone and at a depth, and nothing
// found without it.
func TestFormats(t *testing.T) {
	properties, stream := lzmaed(t, []byte(bad("").content))
	good := file{"a.txt", hello}
	rows := []struct {
		name    string
		content []byte
		want    string
	}{
		{"no archive", []byte("just text"), "clean"},
		{"empty object", nil, "clean"},
		{"zip", zipped(t, good, file{"dir/", ""}, file{"dir/b", hello}), "clean"},
		{"empty zip", zipped(t), "clean"},
		{"zip, stored", stored(t, good), "clean"},
		{"zip in a zip, stored last", stored(t, good, file{"inner.zip", string(stored(t, good))}), "clean"},
		{"tar", tarred(t, good), "clean"},
		{"tar on a tape", append(tarred(t, good), make([]byte, 10240)...), "clean"},
		{"gzip", gzipped(t, []byte(hello)), "clean"},
		{"gzip of nothing", gzipped(t, nil), "clean"},
		{"gzip twice", append(gzipped(t, []byte(hello)), gzipped(t, []byte(hello))...), "clean"},
		{"zstd", zstded(t, []byte(hello)), "clean"},
		{"xz", xzed(t, []byte(hello)), "clean"},
		{"7z", sevened(good, file{"b", "more"}), "clean"},
		{"program that unpacks itself", append([]byte("MZ a program's bytes"), zipped(t, good)...), "clean"},

		{"marker, no archive", []byte(marker), "clean"}, // the malware engine's own affair
		{"marker in zip", zipped(t, good, bad("b")), "infected infected_member"},
		{"marker in zip, stored", stored(t, good, bad("b")), "infected infected_member"},
		{"marker in zip, zstd", withMethod(t, 93, 0, "b", bad("").content, zstded(t, []byte(bad("").content))), "infected infected_member"},
		{"marker in zip, xz", withMethod(t, 95, 0, "b", bad("").content, xzed(t, []byte(bad("").content))), "infected infected_member"},
		{"marker in zip, bzip2", withMethod(t, 12, 0, "b", marker+"\n", bzipped(t)), "infected infected_member"},
		{"marker in zip, lzma", withMethod(t, 14, 0, "b", bad("").content, append(append([]byte{9, 20, 5, 0}, properties...), stream...)), "infected infected_member"},
		{"marker in tar", tarred(t, good, bad("b")), "infected infected_member"},
		{"marker in gzip", gzipped(t, []byte(marker)), "infected infected_member"},
		{"marker in gzip's second member", append(gzipped(t, []byte(hello)), gzipped(t, []byte(marker))...), "infected infected_member"},
		{"marker across gzip's members", append(gzipped(t, []byte(marker[:9])), gzipped(t, []byte(marker[9:]))...), "infected infected_member"},
		{"marker in bzip2", bzipped(t), "infected infected_member"},
		{"marker in zstd", zstded(t, []byte(marker)), "infected infected_member"},
		{"marker in zstd behind a skipped frame", append([]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc"), zstded(t, []byte(marker))...), "infected infected_member"},
		{"marker in xz", xzed(t, []byte(marker)), "infected infected_member"},
		{"marker in xz's second stream", append(xzed(t, []byte(hello)), xzed(t, []byte(marker))...), "infected infected_member"},
		{"marker in 7z", sevened(good, bad("b")), "infected infected_member"},
		{"marker in 7z, lzma", seven{files: []file{bad("b")}, coder: append([]byte{0x23, 3, 1, 1, 5}, properties...), packed: stream}.bytes(), "infected infected_member"},

		{"marker in tar.gz", gzipped(t, tarred(t, good, bad("b"))), "infected infected_member"},
		{"marker in tar.zst in zip", zipped(t, file{"x", string(zstded(t, tarred(t, bad("b"))))}), "infected infected_member"},
		{"marker four zips deep", nest(t, 4, []byte(marker)), "infected infected_member"},
		{"marker in a zip behind a picture", append([]byte("\x89PNG\r\n\x1a\n...."), zipped(t, bad("b"))...), "infected infected_member"},
		{"marker in a zip behind a picture in a zip", zipped(t, file{"x.png", string(append([]byte("\x89PNG\r\n\x1a\n...."), zipped(t, bad("b"))...))}), "infected infected_member"},
		{"marker in 7z in 2 MiB of a member", zipped(t, file{"big", string(sevened(file{"z", strings.Repeat("z", 2<<20)}, bad("b")))}), "infected infected_member"},

		{"marker before a zip", append([]byte(marker), zipped(t, good)...), "infected infected_member"},
		{"marker behind a zip", append(zipped(t, good), marker...), "infected infected_member"},
		{"marker behind a tar", append(tarred(t, good), marker...), "infected infected_member"},
		{"tar with the marker behind a tar", append(tarred(t, good), tarred(t, bad("b"))...), "infected infected_member"},
		{"marker behind gzip", append(gzipped(t, []byte(hello)), marker...), "infected infected_member"},
		{"zip with the marker behind gzip", append(gzipped(t, []byte(hello)), zipped(t, bad("b"))...), "infected infected_member"},
		{"zip with the marker behind 7z", seven{files: []file{good}, trailing: zipped(t, bad("b"))}.bytes(), "infected infected_member"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := &finder{}
			r := judge(t, archive.New(config(t, f)), input(t, row.content))
			if got := verdict(r); got != row.want {
				t.Errorf("verdict is %q, want %q", got, row.want)
			}
			if r.Result == registry.VerdictInfected && r.Signature != "Test.Marker" {
				t.Errorf("signature is %q", r.Signature)
			}
			if row.want == "clean" && bytes.Contains(row.content, []byte("a.txt")) && !f.saw(hello) {
				t.Error("the member was not given to the engine")
			}
		})
	}
}

// nest packs content into zips in each other.
func nest(t testing.TB, depth int, content []byte) []byte {
	t.Helper()
	for range depth {
		content = zipped(t, file{"inner", string(content)})
	}
	return content
}

// TestNames refuses what leads out of the folder that an archive is unpacked in.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"a/b/c":          "clean",
		"./a":            "clean",
		"a..b/...c":      "clean",
		"a:b":            "clean",
		"B::Deparse.3pm": "clean",
		`a\x2db`:         "clean",
		"../a":           "refused member_path",
		"a/../../b":      "refused member_path",
		"a/..":           "refused member_path",
		`..\a`:           "refused member_path",
		`a\..\..\b`:      "refused member_path",
		".. /a":          "refused member_path",
		"a/.../b":        "refused member_path", // Windows reads .. there
		"/etc/passwd":    "refused member_path",
		`\a`:             "refused member_path",
		`C:\a`:           "refused member_path",
		"c:/a":           "refused member_path",
	} {
		t.Run(name, func(t *testing.T) {
			for kind, content := range map[string][]byte{
				"zip": zipped(t, file{name, hello}), "tar": tarred(t, file{name, hello}), "7z": sevened(file{name, hello})} {
				f := &finder{}
				r := judge(t, archive.New(config(t, f)), input(t, content))
				if got := verdict(r); got != want {
					t.Errorf("in %s: %q, want %q", kind, got, want)
				}
				if !f.saw(hello) {
					t.Errorf("in %s: its content was not looked at", kind)
				}
			}
		})
	}
}

func TestLinks(t *testing.T) {
	link := func(name, target string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
	}
	rows := []struct {
		name    string
		headers []tar.Header
		want    string
	}{
		{"beside", []tar.Header{link("a", "b")}, "clean"},
		{"down", []tar.Header{link("a", "b/c")}, "clean"},
		{"up and down inside", []tar.Header{link("x/a", "../y/b")}, "clean"},
		{"hard link", []tar.Header{{Typeflag: tar.TypeLink, Name: "a", Linkname: "b"}}, "clean"},
		{"out", []tar.Header{link("a", "../b")}, "refused member_link"},
		{"out of a folder", []tar.Header{link("x/a", "../../b")}, "refused member_link"},
		{"absolute", []tar.Header{link("a", "/etc/passwd")}, "refused member_link"},
		{"up behind a name", []tar.Header{link("d", "."), link("e", "d/..")}, "refused member_link"},
		{"written through", []tar.Header{link("d", "x"), {Typeflag: tar.TypeReg, Name: "d/a"}}, "refused member_path"},
		{"written through, other letters", []tar.Header{link("D", "x"), {Typeflag: tar.TypeReg, Name: "./d//a"}}, "refused member_path"},
		{"hard link out", []tar.Header{{Typeflag: tar.TypeLink, Name: "a", Linkname: "../b"}}, "refused member_link"},
		{"device", []tar.Header{{Typeflag: tar.TypeBlock, Name: "a"}}, "refused member_special"},
		{"pipe", []tar.Header{{Typeflag: tar.TypeFifo, Name: "a"}}, "refused member_special"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := judge(t, archive.New(config(t, &finder{})), input(t, tarredWith(t, row.headers, nil)))
			if got := verdict(r); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
	const unixLink = 0o120777<<16 | 0x8000
	for target, want := range map[string]string{"b": "clean", "../b": "refused member_link", "/b": "refused member_link", strings.Repeat("x", 5000): "refused member_link"} {
		for kind, content := range map[string][]byte{
			"zip": linked(t, "a", target), "7z": seven{files: []file{{"a", target}}, attributes: []uint32{unixLink}}.bytes()} {
			f := &finder{}
			r := judge(t, archive.New(config(t, f)), input(t, content))
			if !f.saw(target) {
				t.Errorf("%s: what it links to was not looked at", kind)
			}
			if got := verdict(r); got != want {
				t.Errorf("%s, link to %.10q: %q, want %q", kind, target, got, want)
			}
		}
	}
}

// TestCannotTell holds what cannot be looked at whole.
func TestCannotTell(t *testing.T) {
	good := file{"a.txt", hello}
	locked := seven{files: []file{good}, coder: append([]byte{0x24, 0x06, 0xf1, 0x07, 0x01, 2}, 0x3f, 0), packed: []byte(strings.Repeat("x", 16))}.bytes()
	rows := []struct {
		name    string
		content []byte
		rules   registry.ArchiveRules
		want    string
	}{
		{"encrypted zip", withMethod(t, 0, 1, "a", hello, []byte(hello)), registry.ArchiveRules{}, "incomplete archive_encrypted"},
		{"encrypted zip, allowed", withMethod(t, 0, 1, "a", hello, []byte(hello)), registry.ArchiveRules{Encrypted: true}, "clean"},
		{"AES zip", withMethod(t, 99, 1, "a", hello, []byte(hello)), registry.ArchiveRules{}, "incomplete archive_encrypted"},
		{"encrypted 7z", locked, registry.ArchiveRules{}, "incomplete archive_encrypted"},
		{"encrypted 7z, allowed", locked, registry.ArchiveRules{Encrypted: true}, "clean"},
		{"encrypted zip in tar", tarred(t, file{"x", string(withMethod(t, 0, 1, "a", hello, []byte(hello)))}), registry.ArchiveRules{}, "incomplete archive_encrypted"},
		{"encrypted and the marker", append(withMethod(t, 0, 1, "a", hello, []byte(hello)), marker...), registry.ArchiveRules{}, "infected infected_member"},
		{"deflate64", withMethod(t, 9, 0, "a", hello, []byte(hello)), registry.ArchiveRules{}, "incomplete archive_unsupported"},
		{"rar", []byte("Rar!\x1a\x07\x01\x00 and more"), registry.ArchiveRules{}, "incomplete archive_unsupported"},
		{"rar in zip", zipped(t, file{"x", "Rar!\x1a\x07\x01\x00 and more"}), registry.ArchiveRules{}, "incomplete archive_unsupported"},
		{"too deep", nest(t, 4, []byte(hello)), registry.ArchiveRules{MaxDepth: 3}, "incomplete archive_depth"},
		{"deep enough", nest(t, 3, []byte(hello)), registry.ArchiveRules{MaxDepth: 3}, "clean"},
		{"too many in zip", zipped(t, good, good, good), registry.ArchiveRules{MaxEntries: 2}, "incomplete archive_entries"},
		{"too many in tar", tarred(t, good, good, good), registry.ArchiveRules{MaxEntries: 2}, "incomplete archive_entries"},
		{"too many in 7z", sevened(good, good, good), registry.ArchiveRules{MaxEntries: 2}, "incomplete archive_entries"},
		{"too many empty ones", zipped(t, file{"a", ""}, file{"b", ""}, file{"c", ""}), registry.ArchiveRules{MaxEntries: 2}, "incomplete archive_entries"},
		{"too many at two depths", zipped(t, file{"a", string(tarred(t, good, good))}), registry.ArchiveRules{MaxEntries: 2}, "incomplete archive_entries"},
		{"as many as allowed", zipped(t, file{"a", string(tarred(t, good, good))}), registry.ArchiveRules{MaxEntries: 3}, "clean"},
		{"too many bytes", zipped(t, file{"a", strings.Repeat("x", 1001)}), registry.ArchiveRules{MaxBytes: 1000}, "incomplete archive_bytes"},
		{"as many bytes as allowed", zipped(t, file{"a", strings.Repeat("x", 1000)}), registry.ArchiveRules{MaxBytes: 1000}, "clean"},
		{"too well packed", zipped(t, file{"a", strings.Repeat("x", 33<<20)}), registry.ArchiveRules{MaxRatio: 100}, "incomplete archive_ratio"},
		{"well packed, but small", zipped(t, file{"a", strings.Repeat("x", 31<<20)}), registry.ArchiveRules{MaxRatio: 100}, "clean"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			in := input(t, row.content)
			in.Rules.Archive = row.rules
			if got := verdict(judge(t, archive.New(config(t, &finder{})), in)); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
}

// says is a malware engine with one answer.
type says struct {
	name   string
	result scanner.Result
	err    error
}

func (s says) Name() string { return s.name }

func (s says) Stream(_ context.Context, r io.Reader, _ int64) (scanner.Result, error) {
	return s.result, s.err
}

// TestStreamers takes in what malware engines say, and asks those that the rules name.
func TestStreamers(t *testing.T) {
	down := says{name: "down", err: scanner.ErrDown}
	partly := says{name: "partly", result: scanner.Result{Result: registry.VerdictIncomplete, Reason: "size_limit"}}
	content := zipped(t, file{"a", hello}, bad("b"))
	rows := []struct {
		name      string
		streamers []scanner.Streamer
		rules     registry.ScanRules
		want      string
	}{
		{"none", nil, registry.ScanRules{}, "clean"},
		{"incomplete, then infected", []scanner.Streamer{partly, &finder{}}, registry.ScanRules{}, "infected infected_member"},
		{"incomplete", []scanner.Streamer{partly}, registry.ScanRules{}, "incomplete size_limit"},
		{"named", []scanner.Streamer{down, &finder{}}, registry.ScanRules{Engines: []string{"finder"}}, "infected infected_member"},
		{"off", []scanner.Streamer{down, &finder{}}, registry.ScanRules{Mode: registry.ScanOff}, "clean"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			cfg := config(t, nil)
			cfg.Malware = row.streamers
			in := input(t, content)
			in.Rules = row.rules
			if got := verdict(judge(t, archive.New(cfg), in)); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
	t.Run("ErrDown", func(t *testing.T) {
		cfg := config(t, nil)
		cfg.Malware = []scanner.Streamer{down}
		if _, err := archive.New(cfg).Scan(context.Background(), input(t, content)); !errors.Is(err, scanner.ErrDown) {
			t.Errorf("error is %v", err)
		}
	})
}
