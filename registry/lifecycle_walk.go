package registry

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"sallyport/registry/kv"
)

// Age walks a bucket once for each rule and each thing that the rule ends:
type agePhase string

const (
	ageCurrent    agePhase = "current"    // current versions, through names
	ageNoncurrent agePhase = "noncurrent" // noncurrent versions and delete markers, through versions
	ageMultipart  agePhase = "multipart"  // multipart uploads
)

// agePhases are in the order in which a rule is carried out.
var agePhases = []agePhase{ageCurrent, ageNoncurrent, ageMultipart}

// in tells whether a rule has something for the phase to do.
func (p agePhase) in(r *LifecycleRule) bool {
	switch {
	case r.Disabled:
		return false
	case p == ageCurrent:
		return r.expires()
	case p == ageNoncurrent:
		return r.NoncurrentDays > 0 || r.ExpireMarkers || r.expires()
	}
	return r.AbortDays > 0
}

// agePlace is where a walk stands.
type agePlace struct {
	rule, phase int    // which of the rules and of agePhases
	from        []byte // what it goes on with, behind the bucket's name; nil for the phase's beginning
}

func (p agePlace) String() string {
	return fmt.Sprintf("%d.%d.%s", p.rule, p.phase, base64.RawURLEncoding.EncodeToString(p.from))
}

func parseAgePlace(s string) (p agePlace, err error) {
	if s == "" {
		return p, nil
	}
	bad := fmt.Errorf("%w: cursor", ErrInvalid)
	part := strings.Split(s, ".")
	if len(part) != 3 || len(s) > 2*maxCursor {
		return p, bad
	}
	rule, err := strconv.ParseUint(part[0], 10, 16)
	if err != nil {
		return p, bad
	}
	phase, err := strconv.ParseUint(part[1], 10, 8)
	if err != nil || phase >= uint64(len(agePhases)) {
		return p, bad
	}
	from, err := base64.RawURLEncoding.DecodeString(part[2])
	if err != nil {
		return p, bad
	}
	return agePlace{int(rule), int(phase), from}, nil
}

// aged is what a rule may end: the transaction that does so looks again.
type aged struct {
	rule      *LifecycleRule
	phase     agePhase
	object    ObjectID
	multipart MultipartID
}

// ageWalk finds what is due from a place on, in one snapshot.
type ageWalk struct {
	t      *txn
	a      *Aging
	base   []byte // what all keys of the bucket begin with
	limit  int
	looked int
	found  []aged
}

// run walks until it has found or looked at enough, and returns where to go on, ""
// at the end.
func (w *ageWalk) run(at agePlace) (next string, err error) {
	for ; at.rule < len(w.a.Rules); at.rule, at.phase = at.rule+1, 0 {
		r := &w.a.Rules[at.rule]
		for ; at.phase < len(agePhases); at.phase++ {
			phase := agePhases[at.phase]
			if !phase.in(r) {
				continue
			}
			if at.from, err = w.walk(r, phase, at.from); err != nil {
				return "", err
			}
			if at.from != nil {
				return at.String(), nil
			}
		}
	}
	return "", nil
}

// walk is run for one phase of one rule.
func (w *ageWalk) walk(r *LifecycleRule, phase agePhase, from []byte) (next []byte, err error) {
	table, prefix, look := tNames, r.Prefix, w.current
	switch phase {
	case ageNoncurrent:
		table, prefix, look = tVersions, escaped(r.Prefix), w.noncurrent
	case ageMultipart:
		table, prefix, look = tMultipartNames, escaped(r.Prefix), w.multipart
	}
	span := kv.Prefix(append(bytes.Clone(w.base), prefix...))
	if from = append(bytes.Clone(w.base), from...); bytes.Compare(from, span.From) > 0 {
		span.From = from
	}
	if bytes.Compare(span.From, span.To) >= 0 {
		return nil, nil
	}
	err = w.t.Scan(table, span, func(key, value []byte) error {
		if w.looked == pageWork || len(w.found) == w.limit {
			next = bytes.Clone(key[len(w.base):])
			return kv.Stop
		}
		w.looked++
		return look(r, key[len(w.base):], value)
	})
	return next, err
}

func (w *ageWalk) current(r *LifecycleRule, key, value []byte) error {
	e, err := decodeName(value)
	if err != nil || w.t.now.Before(r.expiry(e.ModifiedAt)) || !r.covers(string(key), e.Size) {
		return err
	}
	if len(r.Tags) > 0 {
		o, err := w.t.object(w.a.Tenant, e.Object)
		if err != nil || !r.tagged(&o) {
			return err
		}
	}
	w.found = append(w.found, aged{rule: r, phase: ageCurrent, object: e.Object})
	return nil
}

func (w *ageWalk) noncurrent(r *LifecycleRule, _, value []byte) error {
	v, err := decodeVersion(value)
	if err != nil || !v.Noncurrent && !v.Marker {
		return err
	}
	// It became noncurrent after it was written: what is younger needs no look.
	if v.Noncurrent && (r.NoncurrentDays == 0 || w.t.now.Before(midnightAfter(v.ModifiedAt, r.NoncurrentDays))) {
		return nil
	}
	o, err := w.t.object(w.a.Tenant, v.Object)
	if err != nil {
		return err
	}
	due, err := w.t.versionDue(r, &o)
	if due {
		w.found = append(w.found, aged{rule: r, phase: ageNoncurrent, object: o.ID})
	}
	return err
}

func (w *ageWalk) multipart(r *LifecycleRule, key, _ []byte) error {
	m, err := w.t.multipartByID(w.a.Tenant, MultipartID(lastPart(key)))
	if err == nil && !w.t.now.Before(midnightAfter(m.CreatedAt, r.AbortDays)) {
		w.found = append(w.found, aged{rule: r, phase: ageMultipart, multipart: m.ID})
	}
	return err
}

// versionDue tells whether a rule ends a noncurrent version, or a delete marker
// with nothing behind it.
func (t *txn) versionDue(r *LifecycleRule, o *Object) (bool, error) {
	switch {
	case o.State != ObjectPublished || !r.coversVersion(o):
		return false, nil
	case o.Noncurrent:
		return t.noncurrentDue(r, o)
	case o.Marker && (r.ExpireMarkers || r.expires() && !t.now.Before(r.expiry(o.ModifiedAt))):
		return t.alone(o)
	}
	return false, nil
}

func (t *txn) noncurrentDue(r *LifecycleRule, o *Object) (bool, error) {
	if r.NoncurrentDays == 0 {
		return false, nil
	}
	since, newer := o.ModifiedAt, 0
	span := under(o.Tenant, string(o.Bucket), escaped(o.Key))
	span.To, span.Reverse = versionKey(o.Tenant, o.Bucket, o.Key, o.Seq), true
	next := true
	err := t.Scan(tVersions, span, func(_, value []byte) error {
		v, err := decodeVersion(value)
		if err != nil {
			return err
		}
		if next {
			since, next = v.ModifiedAt, false
		}
		if v.Noncurrent {
			newer++
		}
		if newer >= r.NoncurrentKeep {
			return kv.Stop
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	if next { // what followed it is no version of its own, and so the current one
		e, err := t.visible(o.Tenant, o.Bucket, o.Key)
		if err != nil {
			return false, err
		}
		since = e.ModifiedAt
	}
	return newer >= r.NoncurrentKeep && !t.now.Before(midnightAfter(since, r.NoncurrentDays)), nil
}

// alone tells whether a delete marker is all there is of its key, waiting writes
// included: one accepted before it must not come to light.
func (t *txn) alone(o *Object) (bool, error) {
	n := 0
	err := t.versionsOf(o.Tenant, o.Bucket, o.Key, func(versionEntry) error {
		if n++; n > 1 {
			return kv.Stop
		}
		return nil
	})
	if err != nil || n > 1 {
		return false, err
	}
	waiting, err := t.unpublished(o.Tenant, o.Bucket, o.Key)
	for _, w := range waiting {
		if w.state != stateCode(ObjectRejected) {
			return false, err
		}
	}
	return err == nil, err
}
