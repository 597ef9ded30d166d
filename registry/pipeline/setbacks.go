package pipeline

import (
	"sync"
	"time"

	"sallyport/registry"
)

// maxSetback is the longest wait between two tries of one promotion.
const maxSetback = 12 // periods of Run's ticker

// setbacks remembers which promotions failed and when each is worth another try:
// after one period, then two, four, … and at last every maxSetback. It is empty
// after a restart, which tries everything once.
type setbacks struct {
	mu  sync.Mutex // protects the field below
	set map[registry.ObjectID]setback
}

type setback struct {
	wait  time.Duration
	until time.Time
}

// note records a failure.
func (s *setbacks) note(id registry.ObjectID, now time.Time, period time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = map[registry.ObjectID]setback{}
	}
	wait := min(max(2*s.set[id].wait, period), maxSetback*period)
	s.set[id] = setback{wait: wait, until: now.Add(wait)}
}

// due tells whether a promotion may be tried now.
func (s *setbacks) due(id registry.ObjectID, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	back, failed := s.set[id]
	// A clock that was set back must not make it wait for longer than it would.
	return !failed || !now.Before(back.until) || back.until.Sub(now) > back.wait
}

func (s *setbacks) forget(id registry.ObjectID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, id)
}
