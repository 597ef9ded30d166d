package registry

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"
)

func TestRefusalsAreCounted(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	refuse := func(ip, code string) {
		mustAccess(t, a, AccessRecord{
			Time: f.now(), Credential: "SPGUESSED", Bucket: "b", Key: "k", Op: "GetObject", Status: 403, Reason: code,
			BytesIn: 10, Remote: netip.MustParseAddr(ip),
		})
	}
	start := f.now()
	for range 50 {
		refuse("192.0.2.1", "SignatureDoesNotMatch")
		refuse("::ffff:192.0.2.1", "SignatureDoesNotMatch")
	}
	refuse("192.0.2.1", "AccessDenied")
	refuse("2001:db8:1:2:3::4", "AccessDenied")
	f.pass(30 * time.Second)
	refuse("2001:db8:1:2:5::6", "AccessDenied")
	refuse("2001:db8:1:3::6", "AccessDenied")

	due := func() []AccessRecord {
		if err := a.access.write(t.Context(), f.now().Add(-refusalWindow), afterwardsOpen); err != nil {
			t.Fatal(err)
		}
		recs, _ := records(t, a, "")
		return recs
	}
	if recs := due(); len(recs) != 0 {
		t.Errorf("%d records before the minute is over: %+v", len(recs), recs)
	}
	f.pass(30 * time.Second)
	if recs := due(); len(recs) != 3 {
		t.Errorf("%d records of the first minute: %+v", len(recs), recs)
	}
	if err := a.FlushAccess(t.Context()); err != nil {
		t.Fatal(err)
	}
	recs, _ := records(t, a, "")
	want := []AccessRecord{
		{Count: 1, Time: start, Until: start, Status: 403, Reason: "AccessDenied", BytesIn: 10, Remote: netip.MustParseAddr("192.0.2.1")},
		{Count: 100, Time: start, Until: start, Status: 403, Reason: "SignatureDoesNotMatch", BytesIn: 1000, Remote: netip.MustParseAddr("192.0.2.1")},
		{Count: 2, Time: start, Until: start.Add(30 * time.Second), Status: 403, Reason: "AccessDenied", BytesIn: 20, Remote: netip.MustParseAddr("2001:db8:1:2::")},
		{Count: 1, Time: start.Add(30 * time.Second), Until: start.Add(30 * time.Second), Status: 403, Reason: "AccessDenied", BytesIn: 10, Remote: netip.MustParseAddr("2001:db8:1:3::")},
	}
	if len(recs) != len(want) {
		t.Fatalf("%d records, want %d: %+v", len(recs), len(want), recs)
	}
	for i := range want {
		if recs[i] != want[i] {
			t.Errorf("record %d is %+v, want %+v", i, recs[i], want[i])
		}
	}
}

// Refused uses of a URL are counted, and put down to who it was issued to.
func TestRefusedURLsAreAttributed(t *testing.T) {
	f := newAuditFile(t)
	a := f.open(t)
	use := func(grant GrantID, ip, code string, countable bool) {
		mustAccess(t, a, AccessRecord{
			Time: f.now(), Tenant: "acme", Principal: "amy", Credential: "SPAMY", Grant: grant, Upload: "upl_1", Object: "obj_1",
			Status: 409, Reason: code, Remote: netip.MustParseAddr(ip), Countable: countable, RequestID: "r", Bucket: "b", Key: "k",
		})
	}
	for range 10000 { // more than the buffer holds
		use("g_1", "192.0.2.1", "UploadURLAlreadyUsed", true)
	}
	use("g_2", "192.0.2.1", "UploadURLAlreadyUsed", true)
	use("g_1", "192.0.2.1", "OperationAborted", true)
	use("g_1", "192.0.2.2", "OperationAborted", true)
	use("g_3", "192.0.2.1", "BadDigest", false)
	mustAccess(t, a, AccessRecord{Time: f.now(), Grant: "g_1", Status: 409, Reason: "UploadURLAlreadyUsed", Remote: netip.MustParseAddr("192.0.2.1")})
	if err := a.FlushAccess(t.Context()); err != nil {
		t.Fatal(err)
	}
	recs, _ := records(t, a, "")
	got := map[string]uint64{}
	for _, r := range recs {
		got[fmt.Sprint(r.Tenant, r.Principal, r.Credential, r.Grant, r.Upload, r.Object, r.Remote, r.Reason)] += r.Count
	}
	want := map[string]uint64{
		"acmeamySPAMYg_1upl_1obj_1192.0.2.1UploadURLAlreadyUsed": 10000,
		"acmeamySPAMYg_2upl_1obj_1192.0.2.1UploadURLAlreadyUsed": 1,
		"acmeamySPAMYg_1upl_1obj_1192.0.2.1OperationAborted":     1,
		"acmeamySPAMYg_1upl_1obj_1192.0.2.2OperationAborted":     1,
		"acmeamySPAMYg_3upl_1obj_1192.0.2.1BadDigest":            0, // a record of its own
		"192.0.2.1UploadURLAlreadyUsed":                          1, // nobody proved that it is a URL
	}
	if !maps.Equal(got, want) {
		t.Errorf("recorded are %v, want %v", got, want)
	}
	if mine, _ := records(t, a, "acme"); len(mine) != 5 {
		t.Errorf("the tenant sees %d records: %+v", len(mine), mine)
	}
}

// A URL that is used from everywhere is still told apart from others.
func TestRefusedURLsFromEverywhere(t *testing.T) {
	r := make(refusals)
	at := time.Unix(1000, 0)
	for i := range 3000 {
		r.add(AccessRecord{Time: at, Tenant: "acme", Principal: "amy", Grant: "g_1", Reason: "AccessDenied", Status: 403, Remote: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
	}
	sum := uint64(0)
	for _, rec := range r.take(at) {
		if rec.Grant == "g_1" && rec.Principal == "amy" {
			sum += rec.Count
		}
	}
	if sum != 3000 {
		t.Errorf("%d of 3000 are put down to the URL", sum)
	}
}

// However many attackers there are, what is kept of them is bounded and the
// sum is right.
func TestRefusalsAreBounded(t *testing.T) {
	r := make(refusals)
	at := time.Unix(1000, 0)
	const n = 5000
	for i := range n {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		r.add(AccessRecord{Time: at, Remote: addr, Reason: fmt.Sprint("code-", i), Status: 400 + i%100})
	}
	if len(r) > maxRefusals+maxRefusedGrants+maxRefusalCodes+1 {
		t.Errorf("%d kinds are kept", len(r))
	}
	taken := r.take(at)
	sum := uint64(0)
	back := make(refusals)
	for _, rec := range taken {
		sum += rec.Count
		back.add(rec) // as after a failed write
	}
	if sum != n || len(r) != 0 {
		t.Errorf("%d were counted, want %d; %d are left", sum, n, len(r))
	}
	sum = 0
	for _, rec := range back.take(at) {
		sum += rec.Count
	}
	if sum != n {
		t.Errorf("%d were counted after a failed write, want %d", sum, n)
	}
}
