// Command sallyport is a secure front for object storage: the server, and the
// client commands that talk to a running one.
package main

import (
	"os"
	"time"

	"golang.org/x/term"
)

func main() {
	a := &app{
		out:      os.Stdout,
		errOut:   os.Stderr,
		environ:  os.Environ(),
		now:      time.Now,
		terminal: func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) },
	}
	os.Exit(a.run(os.Args[1:]))
}
