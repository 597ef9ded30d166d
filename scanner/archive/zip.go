package archive

import (
	"cmp"
	"slices"
)

// zip reads a zip file by both of its directories, the central one at the end and the
// local header before each member, in the order of the bytes. Readers use one or the
// other, so they have to agree; bytes that neither names are written as members of
// their own, so that all are looked at.
func (w *walker) zip() error {
	end, reason := w.zipEnd()
	if reason != "" {
		w.found(reason)
		return nil
	}
	if end.entries > uint64(w.maxEntries-w.entries) {
		return errTooMany
	}
	files, reason := w.zipDirectory(end)
	if reason != "" {
		w.found(reason)
		return nil
	}
	slices.SortFunc(files, func(a, b zipFile) int { return cmp.Compare(a.offset, b.offset) })
	at := int64(0)
	for i, f := range files {
		if err := w.gap(at, f.offset); err != nil {
			return err
		}
		next := end.directory
		if i+1 < len(files) {
			next = files[i+1].offset
		}
		var err error
		if at, err = w.zipMember(f, next); err != nil {
			return err
		}
		if at > next {
			// Members in each other: the classic bomb. What comes is more of the same.
			w.found(ReasonOverlap)
			return nil
		}
	}
	for _, gap := range [][2]int64{{at, end.directory}, {end.directory + end.size, end.at}, {end.after, w.src.size}} {
		if err := w.gap(gap[0], gap[1]); err != nil {
			return err
		}
	}
	return nil
}

// gap writes the bytes between members. A member's header among them is one that only
// some readers see. What stands before the first one may be a program that unpacks,
// what stands behind the last one signs it.
func (w *walker) gap(from, to int64) error {
	if from >= to {
		return nil
	}
	var head [4]byte
	if _, err := w.src.ReadAt(head[:], from); err == nil && string(head[:]) == localMagic {
		w.found(ReasonMismatch)
	}
	if err := w.entry(); err != nil {
		return err
	}
	return w.member(w.src.section(from, to))
}

// zipMember compares a member's two headers, writes its content and returns where it
// ends. One that ends behind the next one's beginning is not written.
func (w *walker) zipMember(f zipFile, next int64) (end int64, err error) {
	if err := w.entry(); err != nil {
		return 0, err
	}
	local, reason := w.zipLocal(f)
	if reason != "" {
		w.found(reason)
		return next, nil
	}
	end = local.data + f.packed
	if end > next || end < local.data {
		return next + 1, nil
	}
	if f.flags&flagDescriptor != 0 {
		n, ok := w.zipDescriptor(f, end, next)
		if !ok {
			w.found(ReasonMismatch)
		}
		end += n
	}
	name := string(w.zipName(f))
	if !w.names.entry(name) || !w.unicodeNames(f, local) {
		w.found(ReasonPath)
	}
	if f.flags&(flagEncrypted|flagMasked) != 0 || f.method == methodAES {
		w.found(ReasonEncrypted)
		return end, nil
	}
	target, err := w.zipContent(f, local.data)
	if err == nil && f.isLink() {
		w.link(name, target)
	}
	return end, err
}

// unicodeNames looks at the second names that members may have, which some readers
// prefer.
func (w *walker) unicodeNames(f zipFile, local zipLocal) bool {
	for _, extra := range [][]byte{w.zipExtra(f), local.extra} {
		name, ok := extraField(extra, extraUnicodeName)
		if ok && len(name) > 5 && !w.names.entry(string(name[5:])) {
			return false
		}
	}
	return true
}
