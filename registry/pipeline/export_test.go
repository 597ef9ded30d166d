package pipeline

// FreeLanes returns how many lanes nobody has.
func (p *Pipeline) FreeLanes() int { return int(p.lanes.free.Load()) }

// Running returns how many transfers stand in the table.
func (p *Pipeline) Running() int { return p.transfers.count() }
