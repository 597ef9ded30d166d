package clamd

import (
	"context"
	"sync"
	"time"
)

// keepIdle is how long a session is kept unused: less than clamd keeps one by
// default (CommandReadTimeout, 30 s).
const keepIdle = 20 * time.Second

// pool is the sessions of an engine.
type pool struct {
	engine *Engine
	slots  chan struct{} // one for each session in use

	mu   sync.Mutex // protects the field below
	idle []*session // the last used at the end
}

func newPool(e *Engine, sessions int) *pool {
	return &pool{engine: e, slots: make(chan struct{}, sessions)}
}

// take returns a session on which clamd has just answered.
func (p *pool) take(ctx context.Context) (*session, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s, err := p.open(ctx)
	if err != nil {
		<-p.slots
		return nil, err
	}
	return s, nil
}

func (p *pool) open(ctx context.Context) (*session, error) {
	if s := p.pop(); s != nil {
		if s.greet(ctx) == nil {
			return s, nil
		}
		// It is another clamd by now, or this session was too old for it.
		s.close()
		p.closeIdle()
	}
	s, err := p.engine.newSession(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.greet(ctx); err != nil {
		s.close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	return s, nil
}

// pop takes the session that was used last, if it is not too old.
func (p *pool) pop() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	s := p.idle[len(p.idle)-1]
	if p.engine.cfg.Now().Sub(s.used) > keepIdle {
		p.dropIdle() // then all of them are
		return nil
	}
	p.idle = p.idle[:len(p.idle)-1]
	return s
}

// give takes a session back. One that failed is closed.
func (p *pool) give(s *session) {
	if s.broken {
		s.close()
	} else {
		s.used = p.engine.cfg.Now()
		p.mu.Lock()
		p.idle = append(p.idle, s)
		p.mu.Unlock()
	}
	<-p.slots
}

func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropIdle()
}

// dropIdle is called with mu held.
func (p *pool) dropIdle() {
	for _, s := range p.idle {
		s.close()
	}
	p.idle = nil
}
