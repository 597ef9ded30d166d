package pipeline

import (
	"context"
	"slices"
	"sync"

	"sallyport/registry"
)

// subject says on whose behalf and of what bytes move. Empty fields are not
// concerned.
type subject struct {
	tenant     registry.TenantName
	principal  registry.PrincipalName
	credential string
	grant      registry.GrantID
	upload     registry.UploadID
	part       int                  // of upload
	multipart  registry.MultipartID // a part of it is on its way in
	object     registry.ObjectID
	bucket     registry.BucketName
	key        string
	reading    bool // what is published
}

// transfer is one running movement of bytes.
type transfer struct {
	subject
	stop       func()
	committing bool
	over       chan struct{} // made with committing; closed when it left the table
}

// transfers is the table of running transfers. A revocation commits to the
// ledger first and cuts here second, while a transfer looks at the ledger first
// and enters here second; the generation makes sure that one of the two sees the
// other.
type transfers struct {
	mu      sync.Mutex // protects the fields below
	running map[*transfer]struct{}
	gen     uint64 // of cuts
	barred  map[subject]struct{}
}

// look returns the generation, to be taken before looking at the ledger.
func (t *transfers) look() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gen
}

// enter puts a transfer into the table, unless something was cut since seen: then
// it returns nil and the caller looks at the ledger again. stop is called at most
// once, under the table's lock and never after the transfer left: it must not
// block.
func (t *transfers) enter(seen uint64, s subject, stop func()) *transfer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gen != seen {
		return nil
	}
	return t.add(s, stop)
}

// join is enter for a transfer that looks at the ledger afterwards.
func (t *transfers) join(s subject, stop func()) *transfer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.add(s, stop)
}

func (t *transfers) add(s subject, stop func()) *transfer {
	if t.running == nil {
		t.running = map[*transfer]struct{}{}
	}
	x := &transfer{subject: s, stop: stop}
	t.running[x] = struct{}{}
	return x
}

// leave takes a transfer out of the table.
func (t *transfers) leave(x *transfer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.running, x)
	if x.over != nil {
		close(x.over)
	}
}

// commit is the point of no return: false if the transfer was cut, and from then
// on a cut waits for it instead.
func (t *transfers) commit(x *transfer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, running := t.running[x]
	if running && !x.committing {
		x.committing, x.over = true, make(chan struct{})
	}
	return running
}

// cut ends every transfer that match picks, waits for those that are past the
// point of no return, and returns how many it ended. Whoever revokes can say
// after it that nothing more is going to happen.
func (t *transfers) cut(ctx context.Context, match func(subject) bool) int {
	n, committing := t.stop(match)
	for _, x := range committing {
		select {
		case <-x.over:
		case <-ctx.Done():
			return n
		}
	}
	return n
}

func (t *transfers) stop(match func(subject) bool) (n int, committing []*transfer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gen++
	for x := range t.running {
		switch {
		case !match(x.subject):
		case x.committing:
			committing = append(committing, x)
		default:
			delete(t.running, x)
			x.stop()
			n++
		}
	}
	return n, committing
}

// bar refuses, from now on, whoever proved to be s before s was revoked and has
// not come to its transfer yet. s is a tenant with a credential, a principal or
// neither.
func (t *transfers) bar(s subject) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.barred == nil {
		t.barred = map[subject]struct{}{}
	}
	t.barred[s] = struct{}{}
}

// unbar takes back what bar did.
func (t *transfers) unbar(s subject) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.barred, s)
}

// allowed returns registry.ErrTenantSuspended or registry.ErrRevoked for whom
// bar has named.
func (t *transfers) allowed(s subject) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.barred) == 0 {
		return nil
	}
	for _, b := range []struct {
		who subject
		err error
	}{
		{subject{tenant: s.tenant}, registry.ErrTenantSuspended},
		{subject{tenant: s.tenant, principal: s.principal}, registry.ErrRevoked},
		{subject{tenant: s.tenant, credential: s.credential}, registry.ErrRevoked},
	} {
		if _, yes := t.barred[b.who]; yes {
			return b.err
		}
	}
	return nil
}

// picked returns the running transfers that match picks. It counts as a cut: who
// looked at the ledger before has to look again.
func (t *transfers) picked(match func(subject) bool) []subject {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gen++
	var found []subject
	for x := range t.running {
		if match(x.subject) && !slices.Contains(found, x.subject) {
			found = append(found, x.subject)
		}
	}
	return found
}

func (t *transfers) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.running)
}
