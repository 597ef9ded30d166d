package pipeline_test

import (
	"bytes"
	"errors"
	"testing"

	"sallyport/registry"
	"sallyport/registry/pipeline"
)

// assembly is what a client was told had been done of a multipart upload and a copy
// when the fault struck.
type assembly struct {
	source    bool
	upload    *registry.Multipart
	part      *registry.Part // the last acknowledged of number 1
	content   []byte         // of it
	copied    *registry.Part // number 2, of the source
	completed bool
	copy      bool // of what was completed
	cleared   bool // the source was deleted
}

var (
	sourceText = []byte("What parts and copies are made of.\n")
	secondTry  = []byte("The part as it was put the second time.\n")
)

// assemble puts a source and a part, replaces the part, copies another, completes with
// the first alone, copies the whole and deletes the source. It ends at the first
// failure, as a client that gives up would.
func (r *rig) assemble() (a assembly, err error) {
	if _, err := r.putKey("photos", "source", sourceText); err != nil {
		return a, err
	}
	a.source = true
	m, err := r.CreateMultipart(r.ctx(), admin, registry.NewMultipart{
		Bucket: "photos", Key: "whole", ChecksumAlgorithm: "crc64nvme", ChecksumType: registry.FullObject})
	if err != nil {
		return a, err
	}
	a.upload = &m
	for _, content := range [][]byte{text, secondTry} {
		p, err := r.putPart(partOf(m, 1, content), content)
		if err != nil {
			return a, err
		}
		a.part, a.content = &p, content
	}
	p, _, err := r.CopyPart(r.ctx(), admin, pipeline.PartCopyRequest{
		MultipartRef: refOf(m), Number: 2, Source: pipeline.Source{Bucket: "photos", Key: "source"}, Offset: 5, Length: 5})
	if err != nil {
		return a, err
	}
	a.copied = &p
	if _, err := r.Complete(r.ctx(), admin, completion(m, *a.part)); err != nil {
		return a, err
	}
	a.completed = true
	_, err = r.Copy(r.ctx(), admin, pipeline.CopyRequest{
		Source: pipeline.Source{Bucket: "photos", Key: "whole"}, Bucket: "photos", Key: "copy"})
	if err != nil {
		return a, err
	}
	a.copy = true
	if err := r.deleteKeys("photos", "source", "whole"); err != nil {
		return a, err
	}
	a.cleared = true
	return a, r.Sweep(r.ctx())
}

// TestFaultTableOfParts is TestFaultTable for what shares bytes.
func TestFaultTableOfParts(t *testing.T) {
	rows := faultRows(t, func(r *rig) error { _, err := r.assemble(); return err })
	if len(rows) < 30 {
		t.Fatalf("only %d faults in the table", len(rows))
	}
	runFaults(t, rows, func(r *rig) (func(), error) {
		a, err := r.assemble()
		return func() { r.keptAssembly(a) }, err
	})
}

func (r *rig) keptAssembly(a assembly) {
	r.tb.Helper()
	r.settled()
	if a.source && !a.copy {
		r.mustRead("source", sourceText)
	}
	if a.part != nil && !a.completed {
		r.finishAssembly(a)
	}
	if a.completed && !a.copy {
		r.mustRead("whole", a.content)
	}
	if a.copy {
		r.mustRead("copy", secondTry)
	}
	for _, key := range []string{"source", "whole"} {
		if _, err := r.readKey("photos", key); a.cleared && !errors.Is(err, registry.ErrNotFound) {
			r.tb.Errorf("deleted %s: %v, want ErrNotFound", key, err)
		}
	}
	if a.upload != nil && !a.completed {
		err := r.AbortMultipart(r.ctx(), admin, refOf(*a.upload))
		if err != nil && !errors.Is(err, registry.ErrNoUpload) {
			r.tb.Errorf("abort: %v", err)
		}
	}
	r.settled()
}

// finishAssembly does what a client does that was told of a failure: it looks at
// what there is and tries to complete again.
func (r *rig) finishAssembly(a assembly) {
	r.tb.Helper()
	list, err := r.Parts(r.ctx(), admin, refOf(*a.upload), 0, 10)
	if errors.Is(err, registry.ErrNoUpload) { // the completion did take effect
		if _, err := r.Complete(r.ctx(), admin, completion(*a.upload, *a.part)); err != nil {
			r.tb.Errorf("repeating what took effect: %v", err)
		}
		r.mustRead("whole", a.content)
		return
	}
	if err != nil || len(list.Parts) == 0 {
		r.tb.Fatalf("parts after a failure: %+v, %v", list, err)
	}
	stored := list.Parts[0]
	if a.copied != nil && (len(list.Parts) != 2 || list.Parts[1].ETag != a.copied.ETag) {
		r.tb.Errorf("the copied part is missing: %+v", list.Parts)
	}
	content := a.content
	if stored.ETag != a.part.ETag {
		content = secondTry // it took effect though it was not acknowledged
	}
	if _, err := r.Complete(r.ctx(), admin, completion(*a.upload, stored)); err != nil {
		r.tb.Errorf("completing after a failure: %v", err)
	}
	r.mustRead("whole", content)
}

func (r *rig) mustRead(key string, want []byte) {
	r.tb.Helper()
	if got, err := r.readKey("photos", key); err != nil || !bytes.Equal(got, want) {
		r.tb.Errorf("%s reads %q, %v; want %q", key, got, err, want)
	}
}
