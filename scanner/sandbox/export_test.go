package sandbox

// Skip leaves layers of the lock out, so that the others show what they hold by
// themselves.
func Skip(p *Pool, layers ...string) { p.skip = layers }

// Names of layers.
const (
	LayerLimits   = layerLimits
	LayerLandlock = layerLandlock
	LayerSeccomp  = layerSeccomp
	LayerSpaces   = layerSpaces
)
