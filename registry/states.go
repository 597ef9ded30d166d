package registry

// step is one thing that can happen to an upload or to an object.
type step string

// The steps of an upload.
const (
	uploadCreate   step = "upload.create"
	uploadBegin    step = "upload.begin"     // an attempt takes the turn
	uploadTakeOver step = "upload.take_over" // another attempt takes a dead one's turn
	uploadFail     step = "upload.fail"      // the attempt gives the turn back
	uploadComplete step = "upload.complete"  // the bytes are durable
	uploadFinalize step = "upload.finalize"
	uploadAbort    step = "upload.abort"
	uploadExpire   step = "upload.expire"
)

// The steps of an object.
const (
	objectCreate   step = "object.create"    // with its session
	objectPut      step = "object.put"       // S3 write to a direct bucket
	objectIntake   step = "object.intake"    // S3 write to a quarantine bucket
	objectAccept   step = "object.accept"    // its session was finalized
	objectRefuse   step = "object.refuse"    // finalize told a digest that is not the stored one
	objectClaim    step = "object.claim"     // a worker takes it from the queue
	objectTakeOver step = "object.take_over" // … from a worker that is gone
	objectReturn   step = "object.return"    // back to the queue, or held
	objectJudge    step = "object.judge"     // clean: promotion begins
	objectPublish  step = "object.publish"   // promotion ends
	objectReject   step = "object.reject"    // infected or against policy
	objectRelease  step = "object.release"   // an analyst publishes it
	objectWithdraw step = "object.withdraw"  // an analyst rejects it, or what shares its bytes
	objectRequeue  step = "object.requeue"   // what is held is to be inspected again
	objectMark     step = "object.mark"      // a delete marker is born
	objectDelete   step = "object.delete"
)

// unborn is the state of a row that does not exist.
const unborn = ""

// transition is one line of the two machines.
type transition struct {
	step     step
	from, to string
}

// transitions is both state machines: what is not in it cannot happen. (A
// table, and read only.)
var transitions = []transition{
	{uploadCreate, unborn, string(UploadCreated)},
	{uploadBegin, string(UploadCreated), string(UploadUploading)},
	{uploadTakeOver, string(UploadUploading), string(UploadUploading)},
	{uploadFail, string(UploadUploading), string(UploadCreated)},
	{uploadComplete, string(UploadUploading), string(UploadUploaded)},
	{uploadFinalize, string(UploadUploaded), string(UploadFinalized)},
	{uploadAbort, string(UploadCreated), string(UploadAborted)},
	{uploadAbort, string(UploadUploading), string(UploadAborted)},
	{uploadAbort, string(UploadUploaded), string(UploadAborted)},
	{uploadExpire, string(UploadCreated), string(UploadExpired)},
	{uploadExpire, string(UploadUploading), string(UploadExpired)},
	{uploadExpire, string(UploadUploaded), string(UploadExpired)},

	{objectCreate, unborn, string(ObjectPending)},
	{objectPut, unborn, string(ObjectPublished)},
	{objectIntake, unborn, string(ObjectQuarantined)},
	{objectAccept, string(ObjectPending), string(ObjectQuarantined)},
	{objectRefuse, string(ObjectPending), string(ObjectRejected)},
	{objectClaim, string(ObjectQuarantined), string(ObjectScanning)},
	{objectTakeOver, string(ObjectScanning), string(ObjectScanning)},
	{objectReturn, string(ObjectScanning), string(ObjectQuarantined)},
	{objectJudge, string(ObjectScanning), string(ObjectScanning)},
	{objectPublish, string(ObjectScanning), string(ObjectPublished)},
	{objectReject, string(ObjectScanning), string(ObjectRejected)},
	{objectRelease, string(ObjectQuarantined), string(ObjectPublished)}, // held only
	{objectRelease, string(ObjectRejected), string(ObjectPublished)},
	{objectWithdraw, string(ObjectQuarantined), string(ObjectRejected)},
	{objectWithdraw, string(ObjectScanning), string(ObjectRejected)}, // with what shares its bytes
	{objectWithdraw, string(ObjectPublished), string(ObjectRejected)},
	{objectRequeue, string(ObjectQuarantined), string(ObjectQuarantined)}, // held only
	{objectMark, unborn, string(ObjectPublished)},
	{objectDelete, string(ObjectPending), string(ObjectDeleted)},
	{objectDelete, string(ObjectQuarantined), string(ObjectDeleted)},
	{objectDelete, string(ObjectScanning), string(ObjectDeleted)},
	{objectDelete, string(ObjectPublished), string(ObjectDeleted)},
	{objectDelete, string(ObjectRejected), string(ObjectDeleted)},
}

// next asks the table where a step leads. If it leads nowhere, the error's
// class says what is in the way.
func next(s step, from string) (to string, err error) {
	for i := range transitions {
		if t := &transitions[i]; t.step == s && t.from == from {
			return t.to, nil
		}
	}
	return "", refusal(s, from)
}

// refusal is the class of error for a step that the table does not allow.
func refusal(s step, from string) error {
	switch from {
	case string(UploadFinalized):
		return ErrUploadFinalized
	case string(UploadAborted):
		return ErrUploadAborted
	case string(UploadExpired):
		return ErrUploadExpired
	}
	switch s {
	case uploadBegin, uploadTakeOver:
		switch from {
		case string(UploadUploaded):
			return ErrUploadAlreadyReceived
		case string(UploadUploading):
			return ErrUploadInProgress
		}
	case uploadFail, uploadComplete:
		return ErrFenced
	case uploadFinalize:
		return ErrUploadNotReceived
	case objectReturn, objectJudge, objectReject, objectTakeOver:
		return ErrFenced
	}
	return ErrConflict
}
