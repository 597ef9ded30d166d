package archive

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"

	"github.com/ulikunitz/xz"
)

func (w *walker) xz() error {
	if err := w.entry(); err != nil {
		return err
	}
	r, err := xz.NewReader(w.all())
	if err != nil {
		w.found(reasonOf(err))
		return nil
	}
	n, err := w.copy(r)
	if err = w.damaged(err); err != nil {
		return err
	}
	// The reader takes a block's header that is cut off for the end.
	if want, ok := w.xzSize(); !ok || n != want {
		w.found(ReasonDamaged)
	}
	return nil
}

// Sizes of xz's parts, in bytes: xz-file-format.txt 1.2.1, sections 2.1 and 4.
const (
	xzHeader = 12
	xzFooter = 12
)

// xzSize adds up the unpacked sizes in the indexes of all streams of a file, the last
// one first.
func (w *walker) xzSize() (total int64, ok bool) {
	for end := w.src.size; end > 0; {
		if padding := w.bytes(end-4, 4); end%4 == 0 && padding != nil && binary.LittleEndian.Uint32(padding) == 0 {
			end -= 4
			continue
		}
		footer := w.bytes(end-xzFooter, xzFooter)
		if footer == nil || string(footer[10:]) != "YZ" || crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer) {
			return 0, false
		}
		index := end - xzFooter - (int64(binary.LittleEndian.Uint32(footer[4:]))+1)*4
		packed, unpacked, ok := w.xzIndex(index, end-xzFooter)
		if !ok || packed > index-xzHeader {
			return 0, false
		}
		total += unpacked
		end = index - packed - xzHeader
	}
	return total, true
}

// xzIndex adds up one index.
func (w *walker) xzIndex(from, to int64) (packed, unpacked int64, ok bool) {
	if from < xzHeader {
		return 0, 0, false
	}
	br := bufio.NewReader(w.src.section(from, to))
	if marker, err := br.ReadByte(); err != nil || marker != 0 {
		return 0, 0, false
	}
	blocks, err := binary.ReadUvarint(br)
	for ; err == nil && blocks > 0; blocks-- {
		var size, content uint64
		if size, err = binary.ReadUvarint(br); err != nil {
			break
		}
		content, err = binary.ReadUvarint(br)
		packed += int64(size+3) &^ 3
		unpacked += int64(content)
		if size > 1<<62 || content > 1<<62 || packed < 0 || packed > from || unpacked < 0 {
			return 0, 0, false
		}
	}
	return packed, unpacked, err == nil
}
