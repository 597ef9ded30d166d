package sandbox_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// attempts are what a child must not be able to do, by name.
func attempts(in *os.File, to targets) map[string]func() error {
	all := map[string]func() error{}
	for _, more := range []map[string]func() error{network(to), files(to), input(in), processes(to)} {
		for name, try := range more {
			all[name] = try
		}
	}
	return all
}

func network(to targets) map[string]func() error {
	dial := func(network, address string) func() error {
		return func() error {
			c, err := net.DialTimeout(network, address, patience)
			if err != nil {
				return err
			}
			_, err = c.Write([]byte("x"))
			return errors.Join(err, c.Close())
		}
	}
	return map[string]func() error{
		"tcp":           dial("tcp", to.TCP),
		"udp":           dial("udp", to.UDP),
		"unix":          dial("unix", to.Unix),
		"unix abstract": dial("unix", to.Abstract),
		"mptcp": func() error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			a, err := net.ResolveTCPAddr("tcp", to.TCP)
			if err != nil {
				return err
			}
			return unix.Connect(fd, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())})
		},
	}
}

func files(to targets) map[string]func() error {
	return map[string]func() error{
		"read file":         func() error { _, err := os.ReadFile(to.File); return err },
		"list folder":       func() error { _, err := os.ReadDir(to.Dir); return err },
		"list root":         func() error { _, err := os.ReadDir("/"); return err },
		"write file":        func() error { return os.WriteFile(to.File, []byte("x"), 0o600) },
		"make file":         func() error { return os.WriteFile(filepath.Join(to.Dir, "new"), nil, 0o600) },
		"make folder":       func() error { return os.Mkdir(filepath.Join(to.Dir, "sub"), 0o700) },
		"remove file":       func() error { return os.Remove(to.File) },
		"own environment":   func() error { _, err := os.ReadFile("/proc/self/environ"); return err },
		"parent's":          func() error { _, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", to.PID)); return err },
		"parent's file":     func() error { _, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", to.PID)); return err },
		"another namespace": func() error { return unix.Unshare(unix.CLONE_NEWUSER | unix.CLONE_NEWNS) },
	}
}

func input(in *os.File) map[string]func() error {
	return map[string]func() error{
		"write input":    func() error { _, err := in.WriteAt([]byte("x"), 0); return err },
		"truncate input": func() error { return in.Truncate(0) },
		"reopen input": func() error {
			f, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", in.Fd()), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			return f.Close()
		},
	}
}

func processes(to targets) map[string]func() error {
	return map[string]func() error{
		"start a program": func() error {
			c := exec.Command("/proc/self/exe", "nothing")
			c.Stdin, c.Stdout, c.Stderr = os.Stderr, os.Stderr, os.Stderr // or /dev/null were opened
			return c.Run()
		},
		"kill parent":  func() error { return unix.Kill(to.PID, 0) },
		"trace parent": func() error { return unix.PtraceAttach(to.PID) },
	}
}
