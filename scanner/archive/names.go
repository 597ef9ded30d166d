package archive

import (
	"hash/maphash"
	"strings"
)

// names holds members' names against each other. Readers differ in what they make of
// a name, so the least careful one counts: both slashes separate, letters have no
// case, drives exist, and links that came earlier are followed.
type names struct {
	seed  maphash.Seed
	links map[uint64]struct{} // of the paths of links: a name may be long
}

func newNames() *names {
	return &names{seed: maphash.MakeSeed(), links: make(map[uint64]struct{})}
}

// entry says whether a member of this name stays in the folder it is unpacked in. A
// name that leads upwards at all does not: no packer writes such.
func (n *names) entry(name string) bool {
	parts, ok := split(name)
	if !ok {
		return false
	}
	path := n.path()
	for i, part := range parts {
		if part == ".." {
			return false
		}
		if _, linked := n.links[add(path, part)]; linked && i < len(parts)-1 {
			return false
		}
	}
	return true
}

// symlink notes a link, whose name is good, and says whether its target stays in the
// folder, too. Only the target's first parts may lead upwards: behind a name, which may
// be a link by then, nobody knows where up is.
func (n *names) symlink(name, target string) bool {
	from, ok := split(name)
	if !ok || len(from) == 0 {
		return false
	}
	path := n.path()
	for _, part := range from[:len(from)-1] {
		add(path, part)
	}
	n.links[add(path, from[len(from)-1])] = struct{}{}
	parts, ok := split(target)
	if !ok {
		return false
	}
	depth, down := len(from)-1, false
	for _, part := range parts {
		if part != ".." {
			down = true
			continue
		}
		if depth--; down || depth < 0 {
			return false
		}
	}
	return true
}

// target keeps what a link's content says, and that it says too much. The content is
// looked at all the same: not every system knows links.
type target struct {
	start []byte
}

// maxTarget is how long a link's target may be, in bytes: what systems allow.
const maxTarget = 4096

func (t *target) Write(p []byte) (int, error) {
	t.start = append(t.start, p[:min(len(p), maxTarget+1-len(t.start))]...)
	return len(p), nil
}

// link notes a link by its name and its content.
func (w *walker) link(name string, t *target) {
	if len(t.start) > maxTarget || !w.names.symlink(name, string(t.start)) {
		w.found(ReasonLink)
	}
}

// path returns the hash of no path, to which add adds parts.
func (n *names) path() *maphash.Hash {
	var h maphash.Hash
	h.SetSeed(n.seed)
	return &h
}

// add returns the hash with one part more. Names may have thousands of parts.
func add(path *maphash.Hash, part string) uint64 {
	_ = path.WriteByte('/')
	_, _ = path.WriteString(part)
	return path.Sum64()
}

// split cuts a name into its parts, without empty ones and dots. It is not ok if the
// name is absolute, or if readers cut it off before its end.
func split(name string) (parts []string, ok bool) {
	name = strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
	drive := len(name) >= 3 && name[0] >= 'a' && name[0] <= 'z' && name[1:3] == ":/"
	if drive || strings.HasPrefix(name, "/") || strings.ContainsRune(name, 0) {
		return nil, false
	}
	for part := range strings.SplitSeq(name, "/") {
		// Windows drops dots and spaces at the end of a name.
		switch bare := strings.TrimRight(part, " ."); {
		case part == "" || part == ".":
		case bare == "":
			parts = append(parts, "..")
		default:
			parts = append(parts, bare)
		}
	}
	return parts, true
}
