package registry

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

const (
	// refusalWindow is how long refusals of one kind are counted before they
	// become a record.
	refusalWindow = time.Minute
	// maxRefusals is how many kinds are told apart at a time. The sources of
	// those that come on top are not kept, so that neither memory nor disk
	// grows with the number of attackers.
	maxRefusals = 1024
	// maxRefusedGrants is how many grants are told apart beyond that, whatever the
	// sources: many attackers do not hide the misuse of one URL.
	maxRefusedGrants = 1024
	// maxRefusalCodes is how many codes are told apart beyond that.
	maxRefusalCodes = 64
)

// forever is later than any time there is.
var forever = time.Unix(1<<40, 0)

// refusalKind is what refusals are counted by.
type refusalKind struct {
	source netip.Addr // a whole /64 of IPv6; zero once there are too many
	tenant TenantName // of the grant
	grant  GrantID    // "" for requests without a URL, and once there are too many
	code   string
	status int
}

// refusals counts requests of nobody in particular, and refused uses of URLs.
type refusals map[refusalKind]AccessRecord

// kind returns what rec is counted by.
func (r refusals) kind(rec *AccessRecord) refusalKind {
	kind := refusalKind{source: source(rec.Remote), code: rec.Reason, status: rec.Status}
	if rec.Tenant != "" { // else nobody proved that the grant is one
		kind.tenant, kind.grant = rec.Tenant, rec.Grant
	}
	for _, step := range [...]struct {
		room int
		drop func()
	}{
		{maxRefusals, func() { kind.source = netip.Addr{} }},
		{maxRefusals + maxRefusedGrants, func() { kind.tenant, kind.grant = "", "" }},
		{maxRefusals + maxRefusedGrants + maxRefusalCodes, func() { kind.code, kind.status = "other", 0 }},
	} {
		if _, known := r[kind]; known || len(r) < step.room {
			break
		}
		step.drop()
	}
	return kind
}

// add counts rec, or what rec already counts. Only what its kind has in common
// is kept of it.
func (r refusals) add(rec AccessRecord) {
	kind := r.kind(&rec)
	sum, known := r[kind]
	if !known {
		sum = AccessRecord{Time: rec.Time, Until: rec.Time, Reason: kind.code, Status: kind.status, Remote: kind.source}
		if kind.tenant != "" {
			sum.Tenant, sum.Principal, sum.Credential = rec.Tenant, rec.Principal, rec.Credential
			sum.Grant, sum.Upload, sum.Object = rec.Grant, rec.Upload, rec.Object
		}
	}
	if rec.Time.Before(sum.Time) {
		sum.Time = rec.Time
	}
	for _, t := range [...]time.Time{rec.Time, rec.Until} {
		if t.After(sum.Until) {
			sum.Until = t
		}
	}
	sum.Count += max(rec.Count, 1)
	sum.BytesIn += rec.BytesIn
	sum.BytesOut += rec.BytesOut
	sum.Duration += rec.Duration
	r[kind] = sum
}

// take removes and returns those first seen at dueBy or earlier, oldest first.
func (r refusals) take(dueBy time.Time) []AccessRecord {
	var due []AccessRecord
	for kind, sum := range r {
		if !sum.Time.After(dueBy) {
			due = append(due, sum)
			delete(r, kind)
		}
	}
	slices.SortFunc(due, func(a, b AccessRecord) int {
		return cmp.Or(a.Time.Compare(b.Time), a.Remote.Compare(b.Remote), cmp.Compare(a.Grant, b.Grant), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Status, b.Status))
	})
	return due
}

// source is the address refusals are counted under. One customer of an IPv6
// network has at least 2^64 addresses.
func source(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}
