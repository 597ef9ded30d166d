package s3api

import (
	"maps"
	"slices"

	"sallyport/registry"
)

// lifecycleRule writes one rule as the client wrote it.
func (d *document) lifecycleRule(r *registry.LifecycleRule) {
	d.open("Rule")
	d.text("ID", r.ID)
	d.lifecycleFilter(r)
	status := "Enabled"
	if r.Disabled {
		status = "Disabled"
	}
	d.text("Status", status)
	d.lifecycleActions(r)
	d.close("Rule")
}

func (d *document) lifecycleFilter(r *registry.LifecycleRule) {
	if r.Form == formPrefix {
		d.text("Prefix", r.Prefix)
		return
	}
	d.open("Filter")
	if r.Form == formAnd {
		d.open("And")
	}
	sized := r.LargerThan > 0 || r.NotEmpty
	if r.Prefix != "" || r.Form == formFilter && len(r.Tags) == 0 && !sized && r.SmallerThan == 0 {
		d.text("Prefix", r.Prefix)
	}
	for _, k := range slices.Sorted(maps.Keys(r.Tags)) {
		d.open("Tag")
		d.text("Key", k)
		d.text("Value", r.Tags[k])
		d.close("Tag")
	}
	if sized {
		d.number("ObjectSizeGreaterThan", r.LargerThan)
	}
	if r.SmallerThan > 0 {
		d.number("ObjectSizeLessThan", r.SmallerThan)
	}
	if r.Form == formAnd {
		d.close("And")
	}
	d.close("Filter")
}

func (d *document) lifecycleActions(r *registry.LifecycleRule) {
	if r.ExpireDays > 0 || !r.ExpireDate.IsZero() || r.ExpireMarkers {
		d.open("Expiration")
		if r.ExpireDays > 0 {
			d.number("Days", int64(r.ExpireDays))
		}
		if !r.ExpireDate.IsZero() {
			d.text("Date", r.ExpireDate.UTC().Format(isoMillis))
		}
		if r.ExpireMarkers {
			d.flag("ExpiredObjectDeleteMarker", true)
		}
		d.close("Expiration")
	}
	if r.NoncurrentDays > 0 {
		d.open("NoncurrentVersionExpiration")
		d.number("NoncurrentDays", int64(r.NoncurrentDays))
		if r.NoncurrentKeep > 0 {
			d.number("NewerNoncurrentVersions", int64(r.NoncurrentKeep))
		}
		d.close("NoncurrentVersionExpiration")
	}
	if r.AbortDays > 0 {
		d.open("AbortIncompleteMultipartUpload")
		d.number("DaysAfterInitiation", int64(r.AbortDays))
		d.close("AbortIncompleteMultipartUpload")
	}
}
