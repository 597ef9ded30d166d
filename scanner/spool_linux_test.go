package scanner_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/registry"
	"sallyport/scanner"
)

// Whoever opens a file in memory again cannot change it either.
func TestFilesInMemoryAreSealed(t *testing.T) {
	err := filed(t, t.TempDir(), 10, content(make([]byte, 10)), func(f *os.File) {
		seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
		const want = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
		if err != nil || seals != want {
			t.Errorf("seals %#x, %v; want %#x", seals, err, want)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAFullDiskIsAnEngineThatIsDown(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := scanner.Fill(full, bytes.NewReader(make([]byte, 10)), 10); !errors.Is(err, scanner.ErrDown) {
		t.Errorf("got %v, want ErrDown", err)
	}
}

// An object that no spool will ever hold is not waited for: others stand behind it.
func TestWhatNeverFitsIsIncomplete(t *testing.T) {
	dir := t.TempDir()
	var v unix.Statfs_t
	if err := unix.Statfs(dir, &v); err != nil {
		t.Fatal(err)
	}
	p := scanner.NewPanel(scanner.PanelConfig{Now: time.Now, SpoolDir: dir, Inspect: []scanner.Engine{
		engine(func(ctx context.Context, in scanner.Input) (scanner.Result, error) {
			_, err := in.File(ctx)
			return scanner.Result{Result: registry.VerdictClean}, err
		}),
	}})
	size := int64(v.Blocks)*v.Bsize + 1
	o, err := p.Judge(t.Context(), scanner.Case{Object: registry.Object{Size: size}, Open: content(nil)})
	if err != nil || o.Verdict.Result != registry.VerdictIncomplete || o.Verdict.Reason != scanner.ReasonTooLarge {
		t.Errorf("%+v, %v", o.Verdict, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d files are left (%v)", len(left), err)
	}
}
