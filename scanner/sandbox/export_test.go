package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
)

// Hear reads what a child says of one object, as a parent does. broken is what the
// child did wrong.
func Hear(said []byte, frame func(string, json.RawMessage, io.Reader) error) (reply json.RawMessage, err, broken error) {
	w := &worker{r: bufio.NewReader(bytes.NewReader(said))}
	reply, err = w.hear(frame)
	return reply, err, w.broken
}

// Say makes a message of a child's.
func Say(kind byte, body string) []byte { return append(head(kind, len(body)), body...) }

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
