package pipeline

// ChoirSize is how many bodies a choir hashes at most.
const ChoirSize = choirSize

// FreeLanes returns how many lanes nobody has.
func (p *Pipeline) FreeLanes() int { return int(p.lanes.free.Load()) }

// Voices returns how many members the choir has.
func (p *Pipeline) Voices() int {
	p.lanes.choir.mu.Lock()
	defer p.lanes.choir.mu.Unlock()
	return p.lanes.choir.members
}

// Running returns how many transfers stand in the table.
func (p *Pipeline) Running() int { return p.transfers.count() }
