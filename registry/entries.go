package registry

import (
	"encoding/binary"

	"sallyport/registry/kv"
)

// Index entries are a pure function of the row they point at. That is how one
// function can keep them right, and how Check can tell whether they are.

func (u *Upload) place() string  { return string(u.State) }
func (u *Upload) move(to string) { u.State = UploadState(to) }

func (u *Upload) row() (kv.Table, []byte) { return tUploads, keyOf(u.Tenant, string(u.ID)) }

func (u *Upload) subject() (TenantName, ObjectID) { return u.Tenant, u.Object }

func (u *Upload) describe(ev *Event) {
	ev.in(u.Tenant)
	ev.Bucket, ev.Upload, ev.Object = u.Bucket, u.ID, u.Object
}

func (u *Upload) index(add func(kv.Table, []byte, []byte)) {
	add(tUploadsBy, keyOf(u.Tenant, string(u.Principal), string(u.ID)), nil)
	switch u.State {
	case UploadCreated, UploadUploading, UploadUploaded:
		add(tUploadExpiry, timed(u.ExpiresAt, u.Tenant, string(u.ID)), nil)
	}
}

func (o *Object) place() string  { return string(o.State) }
func (o *Object) move(to string) { o.State = ObjectState(to) }

func (o *Object) row() (kv.Table, []byte) { return tObjects, keyOf(o.Tenant, string(o.ID)) }

func (o *Object) subject() (TenantName, ObjectID) { return o.Tenant, o.ID }

func (o *Object) describe(ev *Event) {
	ev.in(o.Tenant)
	ev.Bucket, ev.Upload, ev.Object = o.Bucket, o.Upload, o.ID
}

func (o *Object) index(add func(kv.Table, []byte, []byte)) {
	if c := stateCode(o.State); c != "" {
		add(tObjectStates, keyOf(o.Tenant, c, string(o.ID)), []byte(o.Bucket))
	}
	switch o.State {
	case ObjectQuarantined, ObjectScanning, ObjectRejected:
		if o.Overtaken {
			break // it can never be published, and rejections of one key have no bound
		}
		add(tPendingNames, pendingKey(o.Tenant, o.Bucket, o.Key, o.Seq), []byte(stateCode(o.State)+string(o.ID)))
	}
	switch o.State {
	case ObjectQuarantined:
		if !o.Held && o.Scan != nil {
			add(tScanDue, timed(o.Scan.Due, o.Tenant, string(o.ID)), nil)
		}
	case ObjectScanning:
		if o.Scan != nil {
			add(tScanClaims, timed(o.Scan.Due, o.Tenant, string(o.ID)), binary.BigEndian.AppendUint64(nil, o.Scan.Epoch))
		}
	case ObjectRejected:
		if !o.Destroyed && !o.RejectedAt.IsZero() {
			add(tRejected, timed(o.RejectedAt, o.Tenant, string(o.ID)), []byte(o.Bucket))
		}
	case ObjectPublished:
		if o.Rescan != nil {
			add(tRescans, o.rescanKey(), o.rescanValue())
		}
		if !o.Noncurrent && !o.Marker {
			add(tNames, nameKey(o.Tenant, o.Bucket, o.Key), nameEntryOf(o).encode())
		}
		if o.Versioned || o.Noncurrent || o.Marker {
			add(tVersions, versionKey(o.Tenant, o.Bucket, o.Key, o.Seq), versionEntryOf(o).encode())
		}
	}
	if len(o.Targets) > 0 {
		add(tPromoting, keyOf(o.Tenant, string(o.ID)), nil)
	}
}

// stateCode is a state's letter in the index of states. Published and deleted
// objects are not in it: they are nearly all there are.
func stateCode(s ObjectState) string {
	switch s {
	case ObjectPending:
		return "p"
	case ObjectQuarantined:
		return "q"
	case ObjectScanning:
		return "s"
	case ObjectRejected:
		return "r"
	}
	return ""
}
