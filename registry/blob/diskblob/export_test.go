package diskblob

// Unnamed reports whether s writes files without a name.
func (s *Store) Unnamed() bool { return s.unnamed }

// UseNamed makes s work as on a file system with neither O_TMPFILE nor names
// that are saved with the file.
func (s *Store) UseNamed() { s.unnamed, s.nameSaved = false, false }

// SyncFolders makes s fsync folders although the file system needs it not.
func (s *Store) SyncFolders() { s.nameSaved = false }

// Relink is the rename of file systems without RENAME_NOREPLACE.
func Relink(from, to string) error { return relink(from, to) }
