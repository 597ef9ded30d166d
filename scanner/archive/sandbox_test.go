package archive_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/scanner/archive"
	"sallyport/scanner/sandbox"
)

// TestMain makes the test binary its own children.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sandbox" {
		os.Exit(sandbox.Main(map[string]sandbox.Job{archive.JobName: archive.Job}))
	}
	os.Exit(m.Run())
}

func pool(t *testing.T) *sandbox.Pool {
	t.Helper()
	p := sandbox.NewPool(sandbox.Config{
		Command: []string{"/proc/self/exe", "sandbox"}, Workers: 1, Now: time.Now,
		Limits: sandbox.Limits{Memory: 512 << 20, CPU: 20 * time.Second, Wall: time.Minute},
	})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// dictionary is an xz file that wants a window of nearly 4 GiB.
func dictionary(t *testing.T) []byte {
	t.Helper()
	b := xzed(t, []byte(hello))
	b[16] = 40 // xz-file-format.txt, 5.3.1
	binary.LittleEndian.PutUint32(b[20:], crc32.ChecksumIEEE(b[12:20]))
	return b
}

// TestSandbox has real children, one after the other, open everything: what they find
// is what is found without a sandbox, and what takes too much ends them and nothing else.
func TestSandbox(t *testing.T) {
	p := pool(t)
	gz := gzipped(t, make([]byte, 4<<20))
	properties, stream := lzmaed(t, []byte(hello))
	type row struct {
		name    string
		content []byte
		want    string // "" for anything
	}
	rows := []row{
		{"flat zip", zipped(t, file{"a", strings.Repeat("\x00", 40<<20)}), "incomplete archive_ratio"},
		{"gzip in gzip", gzipped(t, bytes.Repeat(gz, 10)), "incomplete archive_ratio"},
		{"sparse tar", sparse(1 << 40), "incomplete archive_ratio"},
		{"members quote each other", overlapQuoted(), "refused zip_overlap"},
		{"marker four zips deep", nest(t, 4, []byte(marker)), "infected infected_member"},
		{"marker in tar.gz", gzipped(t, tarred(t, bad("b"))), "infected infected_member"},
		{"xz, window of 4 GiB", dictionary(t), "incomplete sandbox_memory"},
		{"7z, window of 4 GiB", seven{files: []file{{"a", hello}}, size: 1 << 31,
			coder: append([]byte{0x23, 3, 1, 1, 5}, append(properties[:1:1], 0xff, 0xff, 0xff, 0x7f)...), packed: stream}.bytes(), "incomplete sandbox_memory"},
		{"zip, LZMA window of 1 GiB", withMethod(t, 14, 0, "b", strings.Repeat("x", 1<<20),
			append([]byte{9, 20, 5, 0, properties[0], 0, 0, 0, 0x40}, stream...)), "incomplete archive_window"},
		{"clean zip", zipped(t, file{"a", hello}), "clean"},
	}
	for kind, content := range archives(t, bad("").content) {
		rows = append(rows, row{"marker in " + kind, content, "infected infected_member"})
	}
	for kind, content := range archives(t, hello) {
		want := "clean"
		if kind == "bzip2" {
			want = "infected infected_member"
		}
		rows = append(rows, row{kind, content, want}, row{kind + " with a hole", hole(content), ""})
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			cfg := config(t, &finder{})
			cfg.Runner = p
			in := input(t, row.content)
			var got string
			grew := watched(func() { got = verdict(judge(t, archive.New(cfg), in)) })
			if row.want != "" && got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
			if grew > 32<<20 {
				t.Errorf("the parent's heap grew by %d MiB", grew>>20)
			}
		})
	}
}

// hole is content with zeros in its second half.
func hole(content []byte) []byte {
	b := bytes.Clone(content)
	clear(b[len(b)/2 : len(b)/2+len(b)/8])
	return b
}
