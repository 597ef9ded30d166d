package registry

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// leads says of every step where it leads from each state that it is possible
// in. It repeats the table in another form on purpose: what DESIGN calls the
// lifecycle is written down twice, and must agree.
var leads = map[step]string{
	uploadCreate:   "=created",
	uploadBegin:    "created=uploading",
	uploadTakeOver: "uploading=uploading",
	uploadFail:     "uploading=created",
	uploadComplete: "uploading=uploaded",
	uploadFinalize: "uploaded=finalized",
	uploadAbort:    "created=aborted uploading=aborted uploaded=aborted",
	uploadExpire:   "created=expired uploading=expired uploaded=expired",
	objectCreate:   "=pending",
	objectPut:      "=published",
	objectIntake:   "=quarantined",
	objectAccept:   "pending=quarantined",
	objectRefuse:   "pending=rejected",
	objectClaim:    "quarantined=scanning",
	objectTakeOver: "scanning=scanning",
	objectReturn:   "scanning=quarantined",
	objectJudge:    "scanning=scanning",
	objectPublish:  "scanning=published",
	objectReject:   "scanning=rejected",
	objectRelease:  "quarantined=published rejected=published",
	objectWithdraw: "quarantined=rejected scanning=rejected published=rejected",
	objectRequeue:  "quarantined=quarantined",
	objectMark:     "=published",
	objectDelete:   "pending=deleted quarantined=deleted scanning=deleted published=deleted rejected=deleted",
}

var states = []string{
	unborn, "created", "uploading", "uploaded", "finalized", "aborted", "expired",
	"pending", "quarantined", "scanning", "published", "rejected", "deleted",
}

func TestEveryStepFromEveryState(t *testing.T) {
	for s, pairs := range leads {
		want := make(map[string]string)
		for pair := range strings.FieldsSeq(pairs) {
			from, to, _ := strings.Cut(pair, "=")
			want[from] = to
		}
		for _, from := range states {
			to, err := next(s, from)
			if possible := want[from] != ""; possible != (err == nil) || to != want[from] {
				t.Errorf("%s from %q: got %q, %v; want %q", s, from, to, err, want[from])
			}
		}
	}
	for _, line := range transitions {
		if _, ok := leads[line.step]; !ok {
			t.Errorf("%s is not in the test", line.step)
		}
	}
}

func TestNoStateFollowsTheLastOnes(t *testing.T) {
	for _, last := range []string{"finalized", "aborted", "expired", "deleted"} {
		if slices.ContainsFunc(transitions, func(l transition) bool { return l.from == last }) {
			t.Errorf("something follows %s", last)
		}
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		step step
		from string
		want error
	}{
		{uploadBegin, "uploading", ErrUploadInProgress},
		{uploadBegin, "uploaded", ErrUploadAlreadyReceived},
		{uploadBegin, "finalized", ErrUploadFinalized},
		{uploadBegin, "aborted", ErrUploadAborted},
		{uploadBegin, "expired", ErrUploadExpired},
		{uploadTakeOver, "uploaded", ErrUploadAlreadyReceived},
		{uploadComplete, "created", ErrFenced},
		{uploadFail, "created", ErrFenced},
		{uploadFinalize, "created", ErrUploadNotReceived},
		{uploadFinalize, "uploading", ErrUploadNotReceived},
		{uploadFinalize, "aborted", ErrUploadAborted},
		{uploadAbort, "finalized", ErrUploadFinalized},
		{uploadAbort, "expired", ErrUploadExpired},
		{objectReturn, "quarantined", ErrFenced},
		{objectJudge, "deleted", ErrFenced},
		{objectPublish, "deleted", ErrConflict},
		{objectRelease, "published", ErrConflict},
		{objectDelete, "deleted", ErrConflict},
	}
	for _, test := range tests {
		if _, err := next(test.step, test.from); !errors.Is(err, test.want) {
			t.Errorf("%s from %s: got %v, want %v", test.step, test.from, err, test.want)
		}
	}
}
