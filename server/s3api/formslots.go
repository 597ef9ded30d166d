package s3api

import "sync"

const (
	// maxForms is how many forms may be read at once before they are proved. Each
	// holds up to maxPreamble bytes for somebody who may be nobody.
	maxForms = 512
	// maxFormsOfOne is how many of them one client address may have, so that nobody
	// takes the room of all others.
	maxFormsOfOne = 64
)

// formSlots counts the forms that are not proved yet.
type formSlots struct {
	mu  sync.Mutex // protects the fields below
	all int
	of  map[string]int // by client address
}

// take tells whether one more may be read for a client; leave is owed then.
func (s *formSlots) take(client string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == maxForms || s.of[client] == maxFormsOfOne {
		return false
	}
	if s.of == nil {
		s.of = make(map[string]int)
	}
	s.all++
	s.of[client]++
	return true
}

func (s *formSlots) leave(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[client]--; s.of[client] == 0 {
		delete(s.of, client)
	}
}
