package registry

// An object of ten thousand parts has as many extents, and is read whole whenever
// it is looked at. Their blobs' keys differ in a few places only, and nearly all
// of them begin at 0 and are as long as the one before. So an extent is written
// as: how many bytes its key shares with the end and with the beginning of the key
// before it, what stands between, the offset, and by how much it is longer or
// shorter than the one before. That is 12 to 25 bytes instead of a hundred.

func extents(c *codec, l *[]Extent) {
	var last Extent
	list(c, l, func(x *Extent) {
		if c.plain {
			text(c, &x.Blob)
			whole(c, &x.Offset)
			whole(c, &x.Length)
			return
		}
		c.key(&x.Blob, last.Blob)
		whole(c, &x.Offset)
		c.growth(&x.Length, last.Length)
		last = *x
	})
}

// key is a blob key next to the one before it.
func (c *codec) key(key *BlobKey, last BlobKey) {
	head, tail := shared(*key, last)
	whole(c, &head)
	whole(c, &tail)
	if c.reading && (head > len(last) || tail > len(last)-head) {
		c.fail()
		return
	}
	var middle BlobKey
	if !c.reading {
		middle = (*key)[head : len(*key)-tail]
	}
	text(c, &middle)
	if c.reading {
		*key = last[:head] + middle + last[len(last)-tail:]
	}
}

// shared returns how many bytes two keys have in common at their beginnings and,
// of what is left, at their ends.
func shared(a, b BlobKey) (head, tail int) {
	n := min(len(a), len(b))
	for head < n && a[head] == b[head] {
		head++
	}
	for tail < n-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return head, tail
}

// growth is a number that is never negative, next to the one before it.
func (c *codec) growth(n *int64, last int64) {
	d := *n - last
	v := uint64(d<<1) ^ uint64(d>>63) // small numbers of either sign are short
	c.uint(&v)
	if !c.reading {
		return
	}
	*n = last + (int64(v>>1) ^ -int64(v&1))
	if *n < 0 {
		c.fail()
		*n = 0
	}
}
