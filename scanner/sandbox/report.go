package sandbox

import (
	"context"
	"fmt"
	"strings"
)

// Report is what is in force in a child on this machine: not what should be, but
// what a child that was started for it has found.
type Report struct {
	// Namespaces are those of a child's own.
	Namespaces []string
	// Landlock is the version of its interface in force, 0 if the kernel has none.
	Landlock int
	// Seccomp: system calls are filtered.
	Seccomp bool
	// NoNewPrivs: no program gains a privilege by being started.
	NoNewPrivs bool
	// Network and Files say how the child was refused when it tried to reach a
	// network and to read the root directory; "" if it was not.
	Network, Files string
	Limits         Limits
}

// Report starts a child and returns what is in force in it. It returns an error
// that wraps scanner.ErrDown if there can be none.
func (p *Pool) Report(ctx context.Context) (Report, error) {
	ctx, release := p.within(ctx)
	defer release()
	mine, err := turn(ctx, p.commands)
	if err != nil {
		return Report{}, err
	}
	defer func() { p.commands <- mine }()
	w, err := p.start(ctx, nil, nil, nil)
	if err != nil {
		return Report{}, err
	}
	defer w.kill()
	names, _ := spaces(w.cmd.SysProcAttr)
	return Report{
		Namespaces: names, Landlock: w.hello.Landlock, Seccomp: w.hello.Seccomp, NoNewPrivs: w.hello.NoNewPrivs,
		Network: w.hello.Network, Files: w.hello.Files, Limits: p.cfg.Limits,
	}, nil
}

// Closed tells whether a child can neither reach a network nor read a file.
func (r Report) Closed() bool { return r.Network != "" && r.Files != "" }

// String returns one line for people.
func (r Report) String() string {
	var in []string
	if r.Landlock > 0 {
		in = append(in, fmt.Sprintf("Landlock %d", r.Landlock))
	}
	if r.Seccomp {
		in = append(in, "seccomp")
	}
	if len(r.Namespaces) > 0 {
		in = append(in, "namespaces ("+strings.Join(r.Namespaces, " ")+")")
	}
	if len(in) == 0 {
		in = append(in, "limits only")
	}
	var open []string
	if r.Network == "" {
		open = append(open, "the network")
	}
	if r.Files == "" {
		open = append(open, "files")
	}
	line := "children run under " + strings.Join(in, ", ")
	if len(open) > 0 {
		line += "; they can reach " + strings.Join(open, " and ")
	}
	return line
}
