package clamd_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sallyport/scanner"
	"sallyport/scanner/clamd"
	"sallyport/scanner/clamd/clamdtest"
)

// line is a part of an impostor's script.
type line struct {
	after string // what ends the bytes that are read first; "" is none
	say   string
}

// greeting is the line that greets as clamd does.
var greeting = line{after: "a greeting"}

const never = "it never comes"

// impostor answers each connection by a script. It then closes the connection.
func impostor(t *testing.T, script ...line) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for _, l := range script {
					if l == greeting {
						if l.say = "1: PONG\x00"; readUntil(conn, "zPING\x00", "zVERSION\x00") == "zVERSION\x00" {
							l.say = "1: ClamAV 1.4.6\x00"
						}
					} else if readUntil(conn, l.after) != l.after {
						return
					}
					if _, err := io.WriteString(conn, l.say); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "tcp://" + listener.Addr().String()
}

// readUntil returns which of the ends came, "" if none.
func readUntil(r io.Reader, ends ...string) string {
	var read bytes.Buffer
	for b := make([]byte, 1); ; read.Write(b) {
		for _, end := range ends {
			if strings.HasSuffix(read.String(), end) {
				return end
			}
		}
		if _, err := r.Read(b); err != nil {
			return ""
		}
	}
}

func TestGarbage(t *testing.T) {
	const end = "\x00\x00\x00\x00"
	for name, test := range map[string]struct {
		script []line
		down   bool
	}{
		"hangs up":                {nil, true},
		"speaks HTTP":             {[]line{{"\x00", "HTTP/1.1 400 Bad Request\r\n\r\n"}, {never, ""}}, true},
		"has no end":              {[]line{{"zVERSION\x00", strings.Repeat("x", 100_000)}}, true},
		"another number":          {[]line{{"zVERSION\x00", "2: ClamAV 1.4.6\x00"}}, true},
		"another product":         {[]line{{"zVERSION\x00", "1: NotClam 1\x00"}}, true},
		"answers nothing":         {[]line{{never, ""}}, true},
		"answers garbage":         {[]line{greeting, {end, "2: stream: perhaps\x00"}}, true},
		"answers what was before": {[]line{greeting, {end, "1: stream: OK\x00"}}, true},
		"answers zeros":           {[]line{greeting, {end, strings.Repeat("\x00", 100)}}, true},
		"answers without an end":  {[]line{greeting, {end, strings.Repeat("2: stream: OK", 1000)}}, true},
		// It lives: this may be the content's doing, so it counts as a try.
		"gives a stream up":    {[]line{greeting, {"zINSTREAM\x00", ""}}, false},
		"dies over it":         {[]line{greeting, {end, ""}}, false},
		"dies over its answer": {[]line{greeting, {end, "2: stream: O"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := engine(t, impostor(t, test.script...), nil)
			got, err := scan(t, e, clamdtest.EICAR())
			if err == nil || errors.Is(err, scanner.ErrDown) != test.down {
				t.Errorf("%+v, %v, want down %t", got, err, test.down)
			}
		})
	}
}

// TestAnAnswerThatNeverComes: clamd lives, but this scan has no end.
func TestAnAnswerThatNeverComes(t *testing.T) {
	address := impostor(t, greeting, line{never, ""})
	e := engine(t, address, func(c *clamd.Config) {
		c.Patience, c.Timeout = 50*time.Millisecond, 120*time.Millisecond
	})
	start := time.Now()
	got, err := scan(t, e, clamdtest.EICAR())
	if err == nil || errors.Is(err, scanner.ErrDown) {
		t.Errorf("%+v, %v, want a try", got, err)
	}
	if took := time.Since(start); took < 120*time.Millisecond {
		t.Errorf("it was given up after %s", took)
	}
}
