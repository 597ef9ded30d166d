package sandbox_test

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"sallyport/scanner/sandbox"
)

// FuzzHear lets a child say anything. The parent gives out no more than it was told,
// and either the child ended well or something was wrong with it.
func FuzzHear(f *testing.F) {
	say := func(messages ...[]byte) []byte { return bytes.Join(messages, nil) }
	frame := sandbox.Say('F', `{"Kind":"k","Header":{"n":1}}`)
	data, end, reply := sandbox.Say('D', "some bytes"), sandbox.Say('E', ""), sandbox.Say('R', `{"Reply":7}`)
	for _, seed := range [][]byte{
		say(reply), say(frame, data, data, end, reply), say(frame, end, frame, data, end, reply),
		say(sandbox.Say('X', `{"Failed":"no"}`)), say(frame, data, reply), say(frame, frame), say(data), say(end),
		say(frame, data, end), say(sandbox.Say('F', "no JSON")), say(frame, sandbox.Say('D', ""), end, reply), []byte("R\xff\xff\xff\xff"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		var got int64
		reply, err, broken := sandbox.Hear(said, func(_ string, header json.RawMessage, body io.Reader) error {
			if len(header) > 0 && !json.Valid(header) {
				t.Errorf("header %q", header)
			}
			n, err := io.Copy(io.Discard, body)
			got += n
			return err
		})
		if got > int64(len(said)) {
			t.Errorf("%d bytes of %d", got, len(said))
		}
		if broken != nil && (err == nil || reply != nil) {
			t.Errorf("a broken exchange gives %q, %v", reply, err)
		}
		if len(said) == 0 && broken == nil {
			t.Error("silence is no answer")
		}
	})
}
