package filetype

import (
	"bytes"
	"encoding/binary"
	"io"
)

// programMagics are what programs, their libraries and their installers begin with.
func programMagics() []string {
	return []string{
		"\x7fELF",
		"\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", // Mach-O
		"\xca\xfe\xba\xbe", "\xca\xfe\xba\xbf", "\xbe\xba\xfe\xca", // Mach-O for several machines; Java classes
		"\xca\xfe\xd0\x0d",   // packed Java
		"dex\n03", "dey\n03", // Android
		"\x00asm\x01\x00\x00\x00",       // WebAssembly
		"L\x00\x00\x00\x01\x14\x02\x00", // Windows shortcut
		"ITSF\x03\x00\x00\x00",          // compiled help
		"!<arch>\ndebian",
		"\xed\xab\xee\xdb",               // rpm
		"Cr24",                           // Chrome extension
		"FasdUAS ",                       // compiled AppleScript
		"BC\xc0\xde", "\xde\xc0\x17\x0b", // LLVM bitcode
		"\x1bLua", "\x1bLJ",
	}
}

func isProgram(content io.ReaderAt, head []byte) bool {
	for _, magic := range programMagics() {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return isDOS(content, head)
}

// isDOS knows programs of DOS and Windows. Two letters are little, so the header has to
// make sense: the new header it points to, or its own numbers (PE Format, MS-DOS stub).
func isDOS(content io.ReaderAt, head []byte) bool {
	if len(head) < 28 || string(head[:2]) != "MZ" && string(head[:2]) != "ZM" {
		return false
	}
	if len(head) >= 64 {
		var sig [2]byte
		if _, err := content.ReadAt(sig[:], int64(binary.LittleEndian.Uint32(head[60:]))); err == nil {
			switch string(sig[:]) {
			case "PE", "NE", "LE", "LX":
				return true
			}
		}
	}
	last, pages := binary.LittleEndian.Uint16(head[2:]), binary.LittleEndian.Uint16(head[4:])
	paragraphs := binary.LittleEndian.Uint16(head[8:])
	return last < 512 && pages > 0 && paragraphs >= 2 && paragraphs < 0x1000
}

// isScript knows what a system hands to an interpreter, and PHP, which web servers do.
func isScript(head []byte) bool {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	if rest, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		rest = bytes.TrimLeft(rest, " \t")
		return len(rest) > 0 && rest[0] == '/'
	}
	start := bytes.ToLower(bytes.TrimLeft(head[:min(len(head), 1024)], space))
	for _, begin := range []string{"<?php", "<%@ ", "@echo off", "[internetshortcut]", "<job", "<package", "<scriptlet", "windows registry editor"} {
		if bytes.HasPrefix(start, []byte(begin)) {
			return true
		}
	}
	return false
}
