package policy

import (
	"fmt"
	"time"

	"sallyport/registry"
)

// Limits are the server's limits where a bucket sets none of its own.
type Limits struct {
	SessionTTL    time.Duration // of an upload session
	MaxSessionTTL time.Duration // most a profile may set
	PutURLTTL     time.Duration // of a signed PUT URL when none is asked for
	MaxPutURLTTL  time.Duration
	GetURLTTL     time.Duration // of a signed GET URL when none is asked for
	MinGetURLTTL  time.Duration
	MaxGetURLTTL  time.Duration
	PresignMaxTTL time.Duration // of URLs that SDKs sign with user keys
	MaxTokenTTL   time.Duration // of a bearer token
	MaxSize       int64         // bytes in one PUT, or in one part
}

// What S3 takes at most, in bytes: in one PUT or part, and in an object of many
// parts; see https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html.
const (
	MaxSinglePut = 5 << 30
	MaxObject    = 5 << 40
)

// minURLTTL is the shortest lifetime of a signed URL: X-Amz-Expires counts
// whole seconds.
const minURLTTL = time.Second

// Defaults returns the documented limits.
func Defaults() Limits {
	return Limits{
		SessionTTL:    2 * time.Hour,
		MaxSessionTTL: 7 * 24 * time.Hour,
		PutURLTTL:     120 * time.Second,
		MaxPutURLTTL:  15 * time.Minute,
		GetURLTTL:     300 * time.Second,
		MinGetURLTTL:  60 * time.Second,
		MaxGetURLTTL:  300 * time.Second,
		PresignMaxTTL: time.Hour,
		MaxTokenTTL:   365 * 24 * time.Hour,
		MaxSize:       MaxSinglePut,
	}
}

// UploadRequest is what a client asks of a new session.
type UploadRequest struct {
	Filename    string
	ContentType string
	Size        int64         // bytes, exact
	URLTTL      time.Duration // 0 asks for the default
	InParts     bool          // the limit of one PUT is not that of the whole
}

// UploadTerms is what it gets.
type UploadTerms struct {
	SessionTTL time.Duration
	URLTTL     time.Duration
}

// Upload decides on a new session in bucket b. It returns ErrInvalid,
// ErrTypeNotAllowed, ErrSizeNotAllowed or ErrInvalidTTL.
func (l Limits) Upload(b registry.Bucket, req UploadRequest) (UploadTerms, error) {
	if err := Filename(req.Filename); err != nil {
		return UploadTerms{}, err
	}
	check := l.Object
	if req.InParts {
		check = l.Whole
	}
	if err := check(b, req.ContentType, req.Size); err != nil {
		return UploadTerms{}, err
	}
	ttl, err := l.PutURL(b, req.URLTTL)
	if err != nil {
		return UploadTerms{}, err
	}
	return UploadTerms{SessionTTL: or(b.SessionTTL, l.SessionTTL), URLTTL: ttl}, nil
}

// Object decides whether bucket b takes size bytes declared as contentType in one
// PUT. It returns ErrInvalid, ErrTypeNotAllowed or ErrSizeNotAllowed. A direct
// bucket that allows every type takes any declaration, even one that is no media
// type, as S3 does.
func (l Limits) Object(b registry.Bucket, contentType string, size int64) error {
	if err := declaredIn(b, contentType); err != nil {
		return err
	}
	return sizeIn(b, size, l.MostInOnePut(b))
}

// Whole is Object for bytes that do not come in one PUT: an upload in parts, or a
// copy.
func (l Limits) Whole(b registry.Bucket, contentType string, size int64) error {
	if err := declaredIn(b, contentType); err != nil {
		return err
	}
	return sizeIn(b, size, most(b, MaxObject))
}

// Part decides whether a part of an upload to bucket b may have size bytes. It
// returns ErrSizeNotAllowed.
func (l Limits) Part(b registry.Bucket, size int64) error {
	return sizeIn(b, size, l.MostInOnePut(b))
}

// MostInOnePut is how many bytes one PUT to bucket b may carry.
func (l Limits) MostInOnePut(b registry.Bucket) int64 { return min(most(b, l.MaxSize), l.MaxSize) }

// most is the bucket's maximum, or else the server's.
func most(b registry.Bucket, server int64) int64 {
	if b.MaxSize > 0 {
		return b.MaxSize
	}
	return server
}

func sizeIn(b registry.Bucket, size, most int64) error {
	if size < 0 || size > most {
		return fmt.Errorf("%w: at most %d bytes in %s", ErrSizeNotAllowed, most, b.Name)
	}
	return nil
}

func declaredIn(b registry.Bucket, contentType string) error {
	if b.Intake == registry.IntakeDirect && len(b.AllowedTypes) == 0 {
		return nil
	}
	if err := MediaType(contentType); err != nil {
		return err
	}
	if !declarable(contentType, b.AllowedTypes) {
		return fmt.Errorf("%w in %s", ErrTypeNotAllowed, b.Name)
	}
	return nil
}

// PutURL returns the lifetime of a signed PUT URL, or ErrInvalidTTL. asked 0
// means the default.
func (l Limits) PutURL(b registry.Bucket, asked time.Duration) (time.Duration, error) {
	return within("PUT URL", asked, min(or(b.PutURLTTL, l.PutURLTTL), l.MaxPutURLTTL), minURLTTL, l.MaxPutURLTTL)
}

// GetURL returns the lifetime of a signed GET URL, or ErrInvalidTTL. asked 0
// means the default, which bends to the bucket's bounds: nobody asked for it.
func (l Limits) GetURL(b registry.Bucket, asked time.Duration) (time.Duration, error) {
	least, most := or(b.GetURLMinTTL, l.MinGetURLTTL), or(b.GetURLMaxTTL, l.MaxGetURLTTL)
	return within("GET URL", asked, min(max(l.GetURLTTL, least), most), least, most)
}

// Presign returns ErrInvalidTTL for a URL that an SDK signed with a key of tenant t
// for longer than the shortest of the server's, the tenant's and bucket b's
// maximum, and names the one that refuses. Without a bucket b is the zero value.
func (l Limits) Presign(t registry.Tenant, b registry.Bucket, lifetime time.Duration) error {
	if lifetime < minURLTTL {
		return fmt.Errorf("%w: presigned URLs live at least %s", ErrInvalidTTL, minURLTTL)
	}
	most, setting := l.PresignMaxTTL, "setting PRESIGN_MAX_TTL"
	if t.PresignMaxTTL > 0 && t.PresignMaxTTL < most {
		most, setting = t.PresignMaxTTL, "presign_max_ttl of the tenant"
	}
	if b.PresignMaxTTL > 0 && b.PresignMaxTTL < most {
		most, setting = b.PresignMaxTTL, "presign_max_ttl of the bucket"
	}
	if lifetime > most {
		return fmt.Errorf("%w: presigned URLs live at most %s (%s)", ErrInvalidTTL, most, setting)
	}
	return nil
}

// LongestURL is the longest lifetime a signed URL can have.
func (l Limits) LongestURL() time.Duration {
	return max(l.PutURLTTL, l.MaxPutURLTTL, l.MaxGetURLTTL, l.PresignMaxTTL)
}

// Token returns ErrInvalidTTL for a bearer token's lifetime that is out of
// bounds; there is no default.
func (l Limits) Token(lifetime time.Duration) error {
	if lifetime < minURLTTL || lifetime > l.MaxTokenTTL {
		return fmt.Errorf("%w: tokens live %s to %s", ErrInvalidTTL, minURLTTL, l.MaxTokenTTL)
	}
	return nil
}

// Profile decides whether an administrator may give bucket b these settings.
// It returns ErrInvalid, ErrSizeNotAllowed or ErrInvalidTTL.
func (l Limits) Profile(b registry.Bucket) error {
	if b.Intake != registry.IntakeQuarantine && b.Intake != registry.IntakeDirect {
		return fmt.Errorf("%w: unknown intake", ErrInvalid)
	}
	for _, pattern := range b.AllowedTypes {
		if err := typePattern(pattern); err != nil {
			return err
		}
	}
	if b.MaxSize < 0 || b.MaxSize > MaxObject {
		return fmt.Errorf("%w: maximum size is at most %d bytes", ErrSizeNotAllowed, int64(MaxObject))
	}
	for _, ttl := range []struct {
		name        string
		value, most time.Duration
	}{
		{"session_ttl", b.SessionTTL, l.MaxSessionTTL},
		{"put_url_ttl", b.PutURLTTL, l.MaxPutURLTTL},
		{"get_url_min_ttl", b.GetURLMinTTL, l.PresignMaxTTL},
		{"get_url_max_ttl", b.GetURLMaxTTL, l.PresignMaxTTL},
		{"presign_max_ttl", b.PresignMaxTTL, l.PresignMaxTTL},
	} {
		if ttl.value == 0 {
			continue
		}
		if _, err := within(ttl.name, ttl.value, 0, minURLTTL, ttl.most); err != nil {
			return err
		}
	}
	if or(b.GetURLMinTTL, l.MinGetURLTTL) > or(b.GetURLMaxTTL, l.MaxGetURLTTL) {
		return fmt.Errorf("%w: get_url_min_ttl is above get_url_max_ttl", ErrInvalidTTL)
	}
	return ScanRules(b.Scan, b.Intake)
}

func within(what string, asked, byDefault, least, most time.Duration) (time.Duration, error) {
	if asked == 0 {
		return byDefault, nil
	}
	if asked < least || asked > most || asked%time.Second != 0 {
		return 0, fmt.Errorf("%w: %s lives %s to %s in whole seconds", ErrInvalidTTL, what, least, most)
	}
	return asked, nil
}

func or(own, server time.Duration) time.Duration {
	if own > 0 {
		return own
	}
	return server
}
