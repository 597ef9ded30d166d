package archive

import "sallyport/registry"

// Reasons of this engine's verdicts.
const (
	// ReasonInfected: a malware engine found something in a member and gave no reason.
	ReasonInfected = "infected_member"

	// ReasonPath: a member's name leads out of the folder it is unpacked in, or
	// through a link.
	ReasonPath = "member_path"
	// ReasonLink: a link leads out of that folder.
	ReasonLink = "member_link"
	// ReasonSpecial: a member is a device, a pipe or a socket.
	ReasonSpecial = "member_special"
	// ReasonOverlap: members of a zip file share bytes.
	ReasonOverlap = "zip_overlap"
	// ReasonMismatch: a zip file tells different readers different things.
	ReasonMismatch = "zip_mismatch"

	// ReasonDepth, ReasonEntries, ReasonBytes, ReasonRatio: more than registry.ArchiveRules
	// allow.
	ReasonDepth   = "archive_depth"
	ReasonEntries = "archive_entries"
	ReasonBytes   = "archive_bytes"
	ReasonRatio   = "archive_ratio"
	// ReasonTime: unpacking takes longer than Config.MaxTime, or the engines longer than
	// Config.MaxEngineTime.
	ReasonTime = "archive_time"
	// ReasonEncrypted: a member, or the list of them, is encrypted.
	ReasonEncrypted = "archive_encrypted"
	// ReasonDamaged: the archive is cut short, altered, or packed in a way no reader
	// here knows.
	ReasonDamaged = "archive_damaged"
	// ReasonUnsupported: a kind of archive or packing that is known and cannot be
	// opened here.
	ReasonUnsupported = "archive_unsupported"
	// ReasonWindow: unpacking takes more memory than it may.
	ReasonWindow = "archive_window"
	// ReasonChild: the child's answer makes no sense.
	ReasonChild = "archive_answer"
	// ReasonSandbox, followed by what ended the child: "sandbox_timeout".
	ReasonSandbox = "sandbox_"
)

// resultOf is the verdict that a reason of the child's stands for. What the child
// cannot know of, or nobody knows, is an answer that makes no sense.
func resultOf(reason string) (registry.VerdictResult, string) {
	switch reason {
	case ReasonPath, ReasonLink, ReasonSpecial, ReasonOverlap, ReasonMismatch:
		return registry.VerdictRefused, reason
	case ReasonEntries, ReasonEncrypted, ReasonDamaged, ReasonUnsupported, ReasonWindow:
		return registry.VerdictIncomplete, reason
	}
	return registry.VerdictIncomplete, ReasonChild
}

// weight orders verdicts: the heaviest is the object's.
func weight(r registry.VerdictResult) int {
	switch r {
	case registry.VerdictInfected:
		return 3
	case registry.VerdictRefused:
		return 2
	case registry.VerdictIncomplete:
		return 1
	}
	return 0
}
