package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// What parent and child say to each other over one socket: a byte that tells the
// kind, four with the length (big endian), and so many bytes. The descriptor of a
// job's input rides on the first byte of its sayJob.
const (
	saySetup  byte = 'S' // parent: setup
	sayHello  byte = 'H' // child: hello, once it is locked in
	sayJob    byte = 'J' // parent: task
	sayFrame  byte = 'F' // child: opening
	sayData   byte = 'D' // child: bytes of the open frame
	sayEnd    byte = 'E' // child: the open frame is whole
	sayReply  byte = 'R' // child: ending
	sayFailed byte = 'X' // child: ending of a job that failed
)

const (
	headSize = 5
	// maxData is how much one sayData carries, bytes.
	maxData = 64 << 10
	// maxText bounds every other message: headers and replies are small.
	maxText = 1 << 20
)

// errProtocol: the other side does not keep to the above. A child that does so
// was taken over or is broken.
var errProtocol = errors.New("sandbox: protocol violated")

// setup is what a new child has to know.
type setup struct {
	Limits Limits
	Apart  bool     // the kernel counts its processes apart from others of its user
	Skip   []string `json:",omitempty"` // layers not to put in force; for tests of the others
	Exec   *command `json:",omitempty"` // become this, instead of doing jobs
}

// command is what a child becomes.
type command struct {
	Argv       []string
	Paths      []string // that may be read and executed
	Unconfined bool     // run even if they are not all that may be
}

// hello is what a child says of itself.
type hello struct {
	Landlock   int    // ABI in force, 0 if none
	Seccomp    bool   // a filter of system calls is in force
	NoNewPrivs bool   // no program it starts gains a privilege
	Network    string // how an attempt to reach one was refused, "" if it was not
	Files      string // how an attempt to read the root directory was refused
	Failed     string // why it cannot work at all
}

type task struct {
	Job    string
	Params json.RawMessage
}

type opening struct {
	Kind   string
	Header json.RawMessage
}

type ending struct {
	Reply  json.RawMessage `json:",omitempty"`
	Failed string          `json:",omitempty"`
	// Files: the job failed for its limits of files.
	Files bool `json:",omitempty"`
	// Retire asks for the worker's end: what it saw was hostile, or it has grown.
	Retire bool `json:",omitempty"`
}

func head(kind byte, size int) []byte {
	h := make([]byte, headSize)
	h[0] = kind
	binary.BigEndian.PutUint32(h[1:], uint32(size))
	return h
}

func parseHead(h []byte) (kind byte, size int, err error) {
	kind, n := h[0], binary.BigEndian.Uint32(h[1:])
	limit := uint32(maxText)
	if kind == sayData {
		limit = maxData
	}
	if n > limit {
		return 0, 0, fmt.Errorf("%w: message %q of %d bytes", errProtocol, kind, n)
	}
	return kind, int(n), nil
}

// readText reads a message of one of the kinds that are JSON.
func readText(r io.Reader, size int, v any) error {
	text := make([]byte, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: %v", errProtocol, err)
	}
	return nil
}

// text makes a message of one of the kinds that are JSON.
func text(kind byte, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(body) > maxText {
		return nil, fmt.Errorf("sandbox: message of %d bytes is above %d", len(body), maxText)
	}
	return append(head(kind, len(body)), body...), nil
}
