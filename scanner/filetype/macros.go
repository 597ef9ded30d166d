package filetype

import "bytes"

// holdsMacros says whether content may be an office document: a zip file, or OLE's
// file system.
func holdsMacros(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"))
}

// macros looks for the names that programs in documents are kept under. Names are not
// packed, in either; OLE's have wide letters. In a zip file they count where it is an
// office document, too: others may well carry such documents.
func (l *look) macros() error {
	var office, program bool
	err := l.search(func(w []byte) {
		office = office || bytes.Contains(w, []byte("[Content_Types].xml"))
		program = program || bytes.Contains(w, []byte("vbaProject.bin"))
		if bytes.Contains(w, []byte("_VBA_PROJECT")) {
			l.note(FoundMacro)
		}
		if bytes.Contains(w, []byte("Basic/script-lc.xml")) && bytes.Contains(w, []byte("content.xml")) {
			l.note(FoundMacro) // OpenDocument
		}
	})
	if office && program {
		l.note(FoundMacro)
	}
	return err
}
