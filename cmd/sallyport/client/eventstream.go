package client

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// maxEvent bounds one line of a stream of events, in bytes.
const maxEvent = 1 << 20

// readEvents reads a stream of server-sent events as this server writes them: an id and
// one line of data each. Anything else in it is passed over.
func readEvents(r io.Reader, fn func(Event) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4<<10), maxEvent)
	var e Event
	for lines.Scan() {
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			id, err := strconv.ParseUint(string(value), 10, 64)
			if err != nil {
				return fmt.Errorf("the server's event has the id %q", value)
			}
			e.ID = id
		case "data":
			e.Data = bytes.Clone(value)
		case "":
			if len(lines.Bytes()) > 0 || e.Data == nil {
				continue // a comment, or the end of nothing
			}
			if err := fn(e); err != nil {
				return err
			}
			e = Event{}
		}
	}
	return lines.Err()
}
