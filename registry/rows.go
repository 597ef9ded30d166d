package registry

// The packed rows. A line here is a field on disk: never reorder, never reuse,
// add at the end.

func (u *Upload) fields(c *codec) {
	text(c, &u.ID)
	text(c, &u.Tenant)
	text(c, &u.Principal)
	text(c, &u.Bucket)
	text(c, &u.Object)
	text(c, &u.State)
	text(c, &u.Filename)
	text(c, &u.ContentType)
	whole(c, &u.Size)
	text(c, &u.SHA256)
	text(c, &u.Grant)
	c.time(&u.CreatedAt)
	c.time(&u.ExpiresAt)
	c.uint(&u.Attempt)
	c.uint(&u.Epoch)
	c.time(&u.LeaseUntil)
	text(c, &u.Staging)
	maybe(c, &u.Stored, func(s *Stored) { s.fields(c) })
	whole(c, &u.PartSize)
	whole(c, &u.Received)
}

func (s *Stored) fields(c *codec) {
	whole(c, &s.Size)
	text(c, &s.SHA256)
	text(c, &s.MD5)
	c.dict(&s.Checksums)
}

func (o *Object) fields(c *codec) {
	text(c, &o.ID)
	text(c, &o.Tenant)
	text(c, &o.Upload)
	text(c, &o.Principal)
	text(c, &o.Bucket)
	text(c, &o.Key)
	c.uint(&o.Seq)
	text(c, &o.State)
	c.bool(&o.Held)
	c.bool(&o.Overtaken)
	text(c, &o.Filename)
	text(c, &o.ContentType)
	text(c, &o.DetectedType)
	whole(c, &o.Size)
	text(c, &o.SHA256)
	text(c, &o.ETag)
	c.dict(&o.Checksums)
	c.dict(&o.Metadata)
	c.dict(&o.Headers)
	extents(c, &o.Extents)
	maybe(c, &o.Verdict, func(v *Verdict) { v.fields(c) })
	list(c, &o.Targets, func(k *BlobKey) { text(c, k) })
	c.time(&o.CreatedAt)
	c.time(&o.ModifiedAt)
	c.time(&o.PublishedAt)
	maybe(c, &o.Scan, func(s *ScanTurn) { s.fields(c) })
	c.bool(&o.Versioned)
	c.bool(&o.Noncurrent)
	c.bool(&o.Marker)
	c.dict(&o.Tags)
	maybe(c, &o.Retention, func(r *Retention) { r.fields(c) })
	c.bool(&o.LegalHold)
	text(c, &o.ChecksumType)
	whole(c, &o.PartCount)
	text(c, &o.StorageClass)
	c.uint(&o.Born)
	whole(c, &o.Renditions)
	c.time(&o.RejectedAt)
	c.bool(&o.Destroyed)
	maybe(c, &o.Proposal, func(r *Ruling) { r.fields(c) })
	maybe(c, &o.Ruling, func(r *Ruling) { r.fields(c) })
	maybe(c, &o.Rescan, func(r *Rescan) {
		c.time(&r.At)
		r.Turn.fields(c)
	})
	maybe(c, &o.Doubt, func(v *Verdict) { v.fields(c) })
}

func (r *Ruling) fields(c *codec) {
	text(c, &r.Decision)
	text(c, &r.By)
	text(c, &r.Reason)
	text(c, &r.Note)
	c.time(&r.At)
}

func (r *Retention) fields(c *codec) {
	text(c, &r.Mode)
	c.time(&r.Until)
}

func (p *Part) fields(c *codec) {
	whole(c, &p.Number)
	whole(c, &p.Size)
	text(c, &p.ETag)
	text(c, &p.SHA256)
	c.dict(&p.Checksums)
	extents(c, &p.Extents)
	c.time(&p.StoredAt)
	c.uint(&p.Attempt)
	c.uint(&p.Epoch)
	c.time(&p.LeaseUntil)
	text(c, &p.Staging)
	text(c, &p.Grant)
	c.bool(&p.Registered)
	c.bool(&p.Used)
}

func (b *Bucket) fields(c *codec) {
	text(c, &b.Name)
	text(c, &b.Intake)
	list(c, &b.AllowedTypes, func(s *string) { text(c, s) })
	whole(c, &b.MaxSize)
	whole(c, &b.SessionTTL)
	whole(c, &b.PutURLTTL)
	whole(c, &b.GetURLMinTTL)
	whole(c, &b.GetURLMaxTTL)
	c.bool(&b.AllowInline)
	list(c, &b.CORSOrigins, func(s *string) { text(c, s) })
	c.time(&b.CreatedAt)
	c.bool(&b.Listed)
	text(c, &b.Versioning)
	maybe(c, &b.Lock, func(k *BucketLock) {
		text(c, &k.Mode)
		whole(c, &k.Days)
		whole(c, &k.Years)
	})
	c.bool(&b.SingleUse)
	whole(c, &b.PresignMaxTTL)
	b.Scan.fields(c)
}

func (m *Multipart) fields(c *codec) {
	text(c, &m.ID)
	text(c, &m.Tenant)
	text(c, &m.Principal)
	text(c, &m.Bucket)
	text(c, &m.Key)
	m.Kept.fields(c)
	text(c, &m.ChecksumAlgorithm)
	text(c, &m.ChecksumType)
	c.time(&m.CreatedAt)
	c.time(&m.CompletedAt)
	text(c, &m.ETag)
	whole(c, &m.Pieces)
}

func (k *Kept) fields(c *codec) {
	text(c, &k.ContentType)
	c.dict(&k.Metadata)
	c.dict(&k.Headers)
	c.dict(&k.Tags)
	maybe(c, &k.Retention, func(r *Retention) { r.fields(c) })
	c.bool(&k.LegalHold)
	text(c, &k.StorageClass)
}

func (v *Verdict) fields(c *codec) {
	text(c, &v.Result)
	text(c, &v.Reason)
	list(c, &v.Engines, func(n *EngineNote) {
		text(c, &n.Name)
		text(c, &n.Version)
		text(c, &n.Result)
		text(c, &n.Signature)
	})
	c.time(&v.At)
	whole(c, &v.Attempts)
}

func (s *ScanTurn) fields(c *codec) {
	c.time(&s.Due)
	whole(c, &s.Tries)
	c.uint(&s.Number)
	c.uint(&s.Epoch)
	text(c, &s.Worker)
}

func (g *Grant) fields(c *codec) {
	text(c, &g.ID)
	text(c, &g.Tenant)
	text(c, &g.Op)
	text(c, &g.Upload)
	text(c, &g.Object)
	text(c, &g.Credential)
	text(c, &g.Principal)
	text(c, &g.Disposition)
	c.time(&g.IssuedAt)
	c.time(&g.ExpiresAt)
	c.bool(&g.Revoked)
	whole(c, &g.Part)
	text(c, &g.Rendition)
}

func (k *keyRow) fields(c *codec) {
	text(c, &k.ID)
	text(c, &k.Tenant)
	text(c, &k.Principal)
	list(c, &k.Roles, func(r *Role) { text(c, r) })
	c.uint(&k.Generation)
	c.time(&k.CreatedAt)
	c.bool(&k.Revoked)
	sealed := string(k.Sealed)
	text(c, &sealed)
	if c.reading {
		k.Sealed = []byte(sealed)
	}
}
