package filetype_test

import (
	"archive/zip"
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"sallyport/registry"
	"sallyport/scanner"
	"sallyport/scanner/filetype"
	"sallyport/scanner/inspect"
)

// direct runs the job in this process.
type direct struct{}

func (direct) Run(ctx context.Context, _ string, in *os.File, params any, _ func(string, json.RawMessage, io.Reader) error) (json.RawMessage, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	reply, err := filetype.Job(ctx, in, raw, nil)
	if err != nil {
		return nil, err
	}
	return json.Marshal(reply)
}

// input is an object with these bytes, its type told by the engine before this one.
func input(t testing.TB, name string, content []byte) scanner.Input {
	t.Helper()
	path := filepath.Join(t.TempDir(), "object")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return scanner.Input{
		Object:   registry.Object{Size: int64(len(content)), Filename: name},
		Detected: inspect.Detect(content[:min(len(content), inspect.HeadSize)]),
		File:     func(context.Context) (*os.File, error) { return f, nil },
	}
}

func verdict(t testing.TB, runner filetype.Runner, in scanner.Input) string {
	t.Helper()
	r, err := filetype.New(runner).Scan(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	if r.Result == registry.VerdictClean {
		return "clean"
	}
	return string(r.Result) + " " + r.Reason
}

func picture() image.Image { return image.NewGray(image.Rect(0, 0, 40, 30)) }

func encoded(t testing.TB, encode func(w io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngBytes(t testing.TB) []byte {
	return encoded(t, func(w io.Writer) error { return png.Encode(w, picture()) })
}

func jpegBytes(t testing.TB) []byte {
	return encoded(t, func(w io.Writer) error { return jpeg.Encode(w, picture(), nil) })
}

func gifBytes(t testing.TB) []byte {
	return encoded(t, func(w io.Writer) error { return gif.Encode(w, picture(), nil) })
}

func zipBytes(t testing.TB, names ...string) []byte {
	return encoded(t, func(w io.Writer) error {
		z := zip.NewWriter(w)
		for _, name := range append(names, "evil.class") {
			f, err := z.Create(name)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(f, "content"); err != nil {
				return err
			}
		}
		return z.Close()
	})
}

// oleBytes is no document, but has one's beginning and a name in it.
func oleBytes(name string) []byte {
	b := append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), make([]byte, 504)...)
	return append(b, wide(name, "", 0)...)
}

// windowsProgram is the least that has a header and a new header.
func windowsProgram() []byte {
	b := make([]byte, 256)
	copy(b, "MZ")
	b[60] = 0x80
	copy(b[0x80:], "PE\x00\x00")
	return b
}

func pdfBytes(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	for i, o := range objects {
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	b.WriteString("trailer << /Root 1 0 R >>\n%%EOF\n")
	return b.Bytes()
}

// packed is an object stream of a PDF.
func packed(t testing.TB, dictionary, content string) string {
	t.Helper()
	z := encoded(t, func(w io.Writer) error {
		z := zlib.NewWriter(w)
		_, err := io.WriteString(z, content)
		return errors.Join(err, z.Close())
	})
	return fmt.Sprintf("<< /Type /ObjStm /N 1 /First 4 /Length %d %s >>\nstream\r\n%s\nendstream", len(z), dictionary, z)
}

func wide(s string, mark string, high int) []byte {
	b := []byte(mark)
	for _, u := range utf16.Encode([]rune(s)) {
		pair := []byte{byte(u), byte(u >> 8)}
		b = append(b, pair[high], pair[1-high])
	}
	return b
}

const script = "<script>alert(1)</script>"

// TestContent judges content by itself, under the rules of a bucket that says nothing,
// and of one that allows what was found.
func TestContent(t *testing.T) {
	executables, active := registry.ScanRules{Executables: true}, registry.ScanRules{Active: true}
	elf := append([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00"), make([]byte, 100)...)
	huge := bytes.Repeat([]byte("\x00\x01\x02\x03"), 300<<10)
	action := "<< /Type /Action /S /JavaScript /JS (app.alert\\(1\\)) >>"
	both := registry.ScanRules{Executables: true, Active: true}
	rows := []struct {
		name    string
		content []byte
		want    string
		allowed registry.ScanRules // with which it is clean
	}{
		{"empty", nil, "clean", registry.ScanRules{}},
		{"text", []byte("MZ is how some programs begin\n"), "clean", registry.ScanRules{}},
		{"text about markup", []byte("Write <script> to run a script.\n"), "clean", registry.ScanRules{}},
		{"markdown", []byte("#! is a shebang\n"), "clean", registry.ScanRules{}},
		{"sound that begins like a script", []byte("#!AMR\n\x00\x01"), "clean", registry.ScanRules{}},
		{"png", pngBytes(t), "clean", registry.ScanRules{}},
		{"jpeg", jpegBytes(t), "clean", registry.ScanRules{}},
		{"gif", gifBytes(t), "clean", registry.ScanRules{}},
		{"jpeg with XMP", append(jpegBytes(t), `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>`...), "clean", registry.ScanRules{}},
		{"jpeg with a film behind it", append(jpegBytes(t), "\x00\x00\x00\x18ftypmp42"...), "clean", registry.ScanRules{}},
		{"zip", zipBytes(t), "clean", registry.ScanRules{}},
		{"pdf", pdfBytes("<< /Type /Catalog /Pages 2 0 R >>"), "clean", registry.ScanRules{}},
		{"pdf with packed objects", pdfBytes(packed(t, "/Filter /FlateDecode", "1 0 << /Type /Page >>")), "clean", registry.ScanRules{}},
		{"pdf with rich text", pdfBytes(`<< /RC (<?xml version="1.0"?><body xmlns="http://www.w3.org/1999/xhtml"><p>note</p></body>) >>`), "clean", registry.ScanRules{}},
		{"xml", []byte(`<?xml version="1.0"?><order><item/></order>`), "clean", registry.ScanRules{}},

		{"windows program", windowsProgram(), "refused executable", executables},
		{"elf", elf, "refused executable", executables},
		{"mach-o", append([]byte("\xcf\xfa\xed\xfe"), make([]byte, 60)...), "refused executable", executables},
		{"java class", []byte("\xca\xfe\xba\xbe\x00\x00\x00\x34"), "refused executable", executables},
		{"wasm", []byte("\x00asm\x01\x00\x00\x00"), "refused executable", executables},
		{"shortcut", []byte("L\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00F"), "refused executable", executables},
		{"shell script", []byte("#!/bin/sh\necho\n"), "refused executable", executables},
		{"shell script behind a mark", []byte("\xef\xbb\xbf#! /usr/bin/env python\n"), "refused executable", executables},
		{"php", []byte("\n<?php system($_GET[0]);"), "refused executable", executables},
		{"batch", []byte("@ECHO OFF\r\ndel *"), "refused executable", executables},

		{"office document", zipBytes(t, "[Content_Types].xml", "word/document.xml"), "clean", registry.ScanRules{}},
		{"zip with a program for documents", zipBytes(t, "vbaProject.bin"), "clean", registry.ScanRules{}},
		{"old document", oleBytes("WordDocument"), "clean", registry.ScanRules{}},
		{"office document with macros", zipBytes(t, "[Content_Types].xml", "word/vbaProject.bin"), "refused executable", executables},
		{"open document with macros", zipBytes(t, "content.xml", "Basic/script-lc.xml"), "refused executable", executables},
		{"old document with macros", oleBytes("_VBA_PROJECT_CUR"), "refused executable", executables},

		{"html", []byte("<!DOCTYPE html><title>x</title>"), "refused active_content", active},
		{"html behind comments", []byte(" \n<!-- a --> <!-- b --><HTML >"), "refused active_content", active},
		{"html in UTF-16", wide("<html><body>"+script, "\xff\xfe", 0), "refused active_content", active},
		{"html in UTF-16, other end first", wide("<html><body>"+script, "\xfe\xff", 1), "refused active_content", active},
		{"html in UTF-16 without a mark", wide("<html><body>"+script, "", 0), "refused active_content", active},
		{"html of one tag", []byte("<img src=x onerror=alert(1)>"), "refused active_content", active},
		{"svg", []byte(`<svg xmlns="http://www.w3.org/2000/svg"><circle/></svg>`), "refused active_content", active},
		{"svg behind a declaration", []byte(`<?xml version="1.0"?><!-- x --><svg xmlns="http://www.w3.org/2000/svg"/>`), "refused active_content", active},
		{"xml with a prefix for svg", []byte(`<?xml version="1.0"?><r xmlns:s="http://www.w3.org/2000/svg"><s:script>alert(1)</s:script></r>`), "refused active_content", active},
		{"xml with xhtml far behind", []byte("<?xml version=\"1.0\"?><r>" + strings.Repeat("x", 600<<10) + `<h:script xmlns:h="http://www.w3.org/1999/xhtml"/></r>`), "refused active_content", active},
		{"xml with a style sheet", []byte(`<?xml version="1.0"?><?xml-stylesheet href="x.xsl"?><r/>`), "refused active_content", active},
		{"xml with entities", []byte(`<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>`), "refused active_content", active},
		{"pdf with JavaScript", pdfBytes(action), "refused active_content", active},
		{"pdf with JavaScript spelled in numbers", pdfBytes(strings.Replace(action, "JavaScript", "J#61v#61Script", 1)), "refused active_content", active},
		{"pdf with JavaScript packed", pdfBytes(packed(t, "/Filter /FlateDecode", action)), "refused active_content", active},
		{"pdf with JavaScript packed, far into it", pdfBytes(packed(t, "/Filter/FlateDecode", strings.Repeat("0 ", 400<<10)+action)), "refused active_content", active},
		{"pdf with JavaScript across two windows", pdfBytes(strings.Repeat(" ", 256<<10-30), action), "refused active_content", active},
		{"pdf with JavaScript packed without a type", pdfBytes(strings.Replace(packed(t, "/Filter /FlateDecode", action), "/Type /ObjStm", "", 1)), "refused active_content", active},
		{"pdf with chapters", pdfBytes("<< /Type /Outlines /First 2 0 R >>", "<< /Title (One) >>"), "clean", registry.ScanRules{}},
		{"pdf with objects behind a long dictionary", pdfBytes(packed(t, "/Filter /FlateDecode %"+strings.Repeat("x", 20<<10)+"\n", action)), "incomplete unreadable_part", registry.ScanRules{}},
		{"pdf that starts a program", pdfBytes("<< /S /Launch /F (cmd.exe) >>"), "refused active_content", active},
		{"pdf with objects in two wrappers", pdfBytes(packed(t, "/Filter [/FlateDecode /FlateDecode]", action)), "incomplete unreadable_part", registry.ScanRules{}},
		{"pdf with objects in letters", pdfBytes(packed(t, "/Filter [/ASCIIHexDecode /FlateDecode]", action)), "incomplete unreadable_part", registry.ScanRules{}},

		{"png with html behind it", append(pngBytes(t), script...), "refused polyglot", active},
		{"jpeg with html in a comment", bytes.Replace(jpegBytes(t), []byte("\xff\xd8"), []byte("\xff\xd8\xff\xfe\x00\x1b"+script), 1), "refused polyglot", active},
		{"gif with html in wide letters", append(gifBytes(t), wide(script, "", 0)...), "refused polyglot", active},
		{"gif with php", append(gifBytes(t), "<?php system($_GET[0]);"...), "refused polyglot", active},
		{"png with php across two windows", append(append(pngBytes(t), huge[:256<<10-100]...), "<?php\nsystem($_GET[0]);"...), "refused polyglot", active},
		{"gif that is JavaScript", append([]byte("GIF89a/*\x01\x00"), "\x00\x00*/=1;alert(1)"...), "refused polyglot", active},
		{"gif with a jar behind it", append(gifBytes(t), zipBytes(t)...), "refused polyglot", active},
		{"png with a zip and a bit more behind it", append(append(pngBytes(t), zipBytes(t)...), "garbage"...), "refused polyglot", active},
		{"jpeg with a rar behind it", append(jpegBytes(t), "Rar!\x1a\x07\x01\x00"...), "refused polyglot", active},
		{"jpeg with a pdf in it", bytes.Replace(jpegBytes(t), []byte("\xff\xd8"), []byte("\xff\xd8\xff\xfe\x00\x0b%PDF-1.7\n"), 1), "refused polyglot", active},
		{"jpeg with a program behind it", append(jpegBytes(t), append(windowsProgram(), "This program cannot be run in DOS mode"...)...), "refused polyglot", both},
		{"pdf with html before it", append([]byte("<html>"), pdfBytes("<< >>")...), "refused active_content", active},
		{"pdf with html in it", pdfBytes("% " + script), "refused polyglot", active},
		{"pdf with a zip behind it", append(pdfBytes("<< >>"), zipBytes(t)...), "refused polyglot", active},
		{"text with a zip behind it", append([]byte("just text\n"), zipBytes(t)...), "refused polyglot", active},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			in := input(t, "", row.content)
			if got := verdict(t, direct{}, in); got != row.want {
				t.Errorf("%q, want %q (detected %s)", got, row.want, in.Detected)
			}
			in.Rules = row.allowed
			if got := verdict(t, direct{}, in); got != "clean" && !strings.HasPrefix(row.want, "incomplete") {
				t.Errorf("%q where it is allowed", got)
			}
		})
	}
}

// TestNames holds names against content.
func TestNames(t *testing.T) {
	text, picture, archive := []byte("text\n"), pngBytes(t), zipBytes(t)
	rows := []struct {
		name    string
		content []byte
		rules   registry.ScanRules
		want    string
	}{
		{"a.txt", text, registry.ScanRules{}, "clean"},
		{"a.png", picture, registry.ScanRules{}, "clean"},
		{"a.jpg", picture, registry.ScanRules{}, "clean"}, // the other kind of picture
		{"a.zip", archive, registry.ScanRules{}, "clean"},
		{"a.docx", archive, registry.ScanRules{}, "clean"},
		{"a.unknown", archive, registry.ScanRules{}, "clean"},
		{"no extension", picture, registry.ScanRules{}, "clean"},
		{"a.tar.gz", archive, registry.ScanRules{}, "clean"},
		{"a.png", nil, registry.ScanRules{}, "clean"},
		{"a.pdf", []byte("\x00\x01\x02 nobody knows"), registry.ScanRules{}, "clean"},
		{"a.log.gz", text, registry.ScanRules{}, "clean"}, // some client unpacked it
		{"\u05d0\u200f.txt", text, registry.ScanRules{}, "clean"},
		{"a.png", archive, registry.ScanRules{}, "refused extension_mismatch"},
		{"a.mp4", text, registry.ScanRules{}, "refused extension_mismatch"},
		{"a.png", windowsProgram(), registry.ScanRules{Executables: true}, "refused extension_mismatch"},
		{"a.pdf", windowsProgram(), registry.ScanRules{Executables: true}, "refused extension_mismatch"},
		{"a.jpg", []byte("<html>"), registry.ScanRules{Active: true}, "refused extension_mismatch"},
		{"a.exe", picture, registry.ScanRules{}, "refused executable"},
		{"a.exe", picture, registry.ScanRules{Executables: true}, "refused extension_mismatch"},
		{"a.exe", windowsProgram(), registry.ScanRules{Executables: true}, "clean"},
		{"a.pdf.exe", text, registry.ScanRules{}, "refused executable"},
		{"a.EXE. ", text, registry.ScanRules{}, "refused executable"},
		{"a.js", text, registry.ScanRules{}, "refused executable"},
		{"a.js", nil, registry.ScanRules{}, "refused executable"},
		{"a.docm", archive, registry.ScanRules{}, "refused executable"},
		{"a.html", text, registry.ScanRules{}, "refused active_content"},
		{"a.html", text, registry.ScanRules{Active: true}, "clean"},
		{"a\u202egpj.exe", text, registry.ScanRules{Executables: true}, "refused deceptive_name"},
		{"a\u200b.txt", text, registry.ScanRules{}, "refused deceptive_name"},
	}
	for _, row := range rows {
		t.Run(row.name+" "+row.want, func(t *testing.T) {
			in := input(t, row.name, row.content)
			in.Rules = row.rules
			if got := verdict(t, direct{}, in); got != row.want {
				t.Errorf("%q, want %q (detected %s)", got, row.want, in.Detected)
			}
		})
	}
}

type killed string

func (killed) Error() string      { return "child ended" }
func (k killed) KilledBy() string { return string(k) }

// answer is a Runner with one.
type answer struct {
	reply string
	err   error
}

func (a answer) Run(context.Context, string, *os.File, any, func(string, json.RawMessage, io.Reader) error) (json.RawMessage, error) {
	return json.RawMessage(a.reply), a.err
}

// TestChild believes no child that is killed or talks nonsense.
func TestChild(t *testing.T) {
	in := input(t, "", []byte("text"))
	rows := []struct {
		name   string
		answer answer
		want   string
	}{
		{"killed", answer{err: fmt.Errorf("run: %w", killed("memory"))}, "incomplete sandbox_memory"},
		{"nonsense", answer{reply: "yes"}, "incomplete filetype_answer"},
		{"other finding", answer{reply: `{"findings":["all_good"]}`}, "incomplete filetype_answer"},
		{"refusal and unreadable", answer{reply: `{"findings":["unreadable","program"]}`}, "refused executable"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if got := verdict(t, row.answer, in); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
	t.Run("ErrDown", func(t *testing.T) {
		_, err := filetype.New(answer{err: fmt.Errorf("start: %w", scanner.ErrDown)}).Scan(context.Background(), in)
		if !errors.Is(err, scanner.ErrDown) {
			t.Errorf("error is %v", err)
		}
	})
}

// FuzzJob never fails over what content says, and never panics.
func FuzzJob(f *testing.F) {
	for _, seed := range [][]byte{
		pngBytes(f), gifBytes(f), zipBytes(f), windowsProgram(), []byte("<html>"), []byte("#!/bin/sh"), wide("<svg ", "\xff\xfe", 0),
		pdfBytes("<< /S /JavaScript >>", packed(f, "/Filter /FlateDecode", "/Launch")), append(gifBytes(f), zipBytes(f)...),
	} {
		f.Add(seed, "")
		f.Add(seed, "application/pdf")
		f.Add(seed, "image/png")
		f.Add(seed, "text/xml")
	}
	f.Fuzz(func(t *testing.T, content []byte, detected string) {
		in := input(t, "a.png", content)
		if detected != "" {
			in.Detected = detected
		}
		verdict(t, direct{}, in)
	})
}

// noChild fails whoever starts a child.
type noChild struct{ t *testing.T }

func (r noChild) Run(context.Context, string, *os.File, any, func(string, json.RawMessage, io.Reader) error) (json.RawMessage, error) {
	r.t.Error("a child was started")
	return nil, errors.New("no child")
}

// TestNothingToRefuse: where all is allowed nobody has to look.
func TestNothingToRefuse(t *testing.T) {
	e := filetype.New(noChild{t})
	r, err := e.Scan(t.Context(), scanner.Input{
		Object: registry.Object{Size: 10}, Rules: registry.ScanRules{Executables: true, Active: true}, Detected: "application/pdf",
	})
	if err != nil || r.Result != registry.VerdictClean {
		t.Errorf("%+v, %v", r, err)
	}
}
