package registry

import (
	"strings"

	"sallyport/registry/kv"
)

// sessionParts checks that the parts of each session are those it can have, that
// their bytes are accounted for once, and that its row counts them rightly.
func (c *checker) sessionParts() error {
	known := 0
	err := c.Scan(tUploads, kv.Range{}, func(_, value []byte) error {
		var u Upload
		if err := decode(tUploads, value, &u); err != nil || u.PartSize == 0 {
			return err
		}
		received := int64(0)
		err := c.eachSessionPart(&u, 0, func(p Part) error {
			known++
			for _, x := range p.Extents {
				received += x.Length
			}
			return c.sessionPart(&u, &p)
		})
		if u.open() && received != u.Received {
			c.report("upload %s has %d bytes in its parts and counts %d", u.ID, received, u.Received)
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.Scan(tParts, kv.Range{}, func(key, _ []byte) error {
		_, id, _ := strings.Cut(string(key), "\x00")
		if strings.HasPrefix(id, prefixUpload) {
			known--
		}
		if known < 0 {
			c.report("a part belongs to no session")
			return kv.Stop
		}
		return nil
	})
}

func (c *checker) sessionPart(u *Upload, p *Part) error {
	switch {
	case !u.open():
		c.report("upload %s is %s and has part %d", u.ID, u.State, p.Number)
	case p.Number < 1 || p.Number > u.PartCount() || p.Size != u.PartLength(p.Number):
		c.report("upload %s has a part %d of %d bytes", u.ID, p.Number, p.Size)
	case len(p.Extents) > 1 || len(p.Extents) == 1 && p.Extents[0].Length != p.Size:
		c.report("part %d of upload %s has other bytes than its size says", p.Number, u.ID)
	case p.Registered && (p.Extents == nil || p.Staging != ""):
		c.report("part %d of upload %s is registered and not stored, or still received", p.Number, u.ID)
	case p.Staging != "" && u.State != UploadUploading:
		c.report("part %d of upload %s is received and the session is %s", p.Number, u.ID, u.State)
	}
	if p.Staging == "" || p.Epoch != c.l.epoch {
		return nil
	}
	intent, err := c.has(tIntents, intentKey(p.Epoch, p.Staging))
	if err == nil && !intent {
		c.report("part %d of upload %s is being received without an intent", p.Number, u.ID)
	}
	return err
}
