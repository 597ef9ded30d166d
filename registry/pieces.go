package registry

import "fmt"

// A copied part has as many extents as its source has there, and what is copied
// can be copied again: without a limit a handful of requests that move no bytes
// make an object of more pieces than memory holds. So the parts of an upload have
// at most MaxParts extents beyond one each, and what adjoins becomes one again.

// count notes how many extents the upload's parts have beyond one each, as p takes
// the place of earlier. ErrInvalid if they are too many.
func (m *Multipart) count(p, earlier *Part) (changed bool, err error) {
	more := max(len(p.Extents)-1, 0) - max(len(earlier.Extents)-1, 0)
	if more > 0 && m.Pieces+more > MaxParts {
		return false, fmt.Errorf("%w: the copied parts are of too many pieces", ErrInvalid)
	}
	m.Pieces += more
	return more != 0, nil
}

// merged makes one of extents that adjoin in their blob, and returns the blob of
// each that is no more.
func merged(extents []Extent) (left []Extent, gone []BlobKey) {
	left = extents[:0]
	for _, x := range extents {
		if n := len(left); n > 0 && left[n-1].Blob == x.Blob && left[n-1].Offset+left[n-1].Length == x.Offset {
			left[n-1].Length += x.Length
			gone = append(gone, x.Blob)
			continue
		}
		left = append(left, x)
	}
	return left, gone
}
