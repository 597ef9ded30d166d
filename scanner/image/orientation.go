package image

import (
	"bytes"
	"encoding/binary"
	"io"
)

// maxExif bounds how much of a block of metadata is read, in bytes: the orientation
// stands near its beginning.
const maxExif = 64 << 10

// exifOrientation reads the content of an APP1 segment; 0 if it says nothing.
func exifOrientation(b []byte) int {
	b, ok := bytes.CutPrefix(b, []byte("Exif\x00"))
	if !ok || len(b) == 0 {
		return 0
	}
	return tiffOrientation(b[1:]) // a pad byte of any value
}

// readOrientation reads a block of metadata that may begin either way.
func readOrientation(r *io.SectionReader) (int, error) {
	b := make([]byte, min(r.Size(), maxExif))
	n, err := r.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return 0, fault(ReasonMalformed)
	}
	if o := exifOrientation(b[:n]); o != 0 {
		return o, nil
	}
	return tiffOrientation(b[:n]), nil
}

// Of TIFF 6.0, sections 2 and 8.
const (
	tagOrientation = 0x0112
	typeShort      = 3
	tiffEntry      = 12 // bytes
)

// tiffOrientation finds the orientation in the first directory of a TIFF; 0 if there is
// none.
func tiffOrientation(b []byte) int {
	if len(b) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(b[:4]) {
	case "II*\x00":
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 0
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return 0
	}
	entries := b[at+2:]
	for range order.Uint16(b[at:]) {
		if len(entries) < tiffEntry {
			return 0
		}
		if order.Uint16(entries) == tagOrientation && order.Uint16(entries[2:]) == typeShort {
			if o := int(order.Uint16(entries[8:])); o >= 1 && o <= 8 {
				return o
			}
			return 0
		}
		entries = entries[tiffEntry:]
	}
	return 0
}
