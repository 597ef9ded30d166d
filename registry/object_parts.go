package registry

import (
	"encoding/base64"
	"maps"
	"slices"
)

// ObjectPart is what is remembered of a part of an object.
type ObjectPart struct {
	Number    int
	Size      int64 // bytes
	Checksums map[string]string
}

// partNotes is the row of an object's parts: ten thousand of them are to stay
// small, so the algorithms are named once and the checksums are not in base64.
type partNotes struct {
	Algorithms []string
	Parts      []partNote
}

type partNote struct {
	Number int
	Size   int64
	Sums   []string // raw, one for each algorithm; "" where there is none
}

func notesOf(parts []Part) partNotes {
	names := make(map[string]bool)
	for i := range parts {
		for name := range parts[i].Checksums {
			names[name] = true
		}
	}
	n := partNotes{Algorithms: slices.Sorted(maps.Keys(names)), Parts: make([]partNote, len(parts))}
	for i := range parts {
		p := &parts[i]
		n.Parts[i] = partNote{Number: p.Number, Size: p.Size, Sums: make([]string, len(n.Algorithms))}
		for j, name := range n.Algorithms {
			sum, ok := sumOf(p.Checksums, name)
			if ok {
				n.Parts[i].Sums[j] = string(sum)
			}
		}
	}
	return n
}

// parts are the notes as they are asked for.
func (n *partNotes) parts() []ObjectPart {
	var found []ObjectPart
	for _, p := range n.Parts {
		o := ObjectPart{Number: p.Number, Size: p.Size}
		for j, sum := range p.Sums {
			if sum == "" || j >= len(n.Algorithms) {
				continue
			}
			if o.Checksums == nil {
				o.Checksums = make(map[string]string, len(n.Algorithms))
			}
			o.Checksums[n.Algorithms[j]] = base64.StdEncoding.EncodeToString([]byte(sum))
		}
		found = append(found, o)
	}
	return found
}

func (n *partNotes) fields(c *codec) {
	list(c, &n.Algorithms, func(s *string) { text(c, s) })
	var last partNote
	list(c, &n.Parts, func(p *partNote) {
		number := int64(p.Number)
		c.growth(&number, int64(last.Number))
		p.Number = int(number)
		c.growth(&p.Size, last.Size)
		list(c, &p.Sums, func(s *string) { text(c, s) })
		last = *p
	})
}
