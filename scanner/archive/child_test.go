package archive_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
	"sallyport/scanner/archive"
)

// killed is what a Runner returns whose child was ended.
type killed string

func (killed) Error() string      { return "child ended" }
func (k killed) KilledBy() string { return string(k) }

// broken is a Runner that does not get far.
type broken struct {
	frames []string
	reply  string
	err    error
}

func (b broken) Run(_ context.Context, _ string, _ *os.File, _ any, frame func(string, json.RawMessage, io.Reader) error) (json.RawMessage, error) {
	for _, kind := range b.frames {
		if err := frame(kind, nil, strings.NewReader(hello)); err != nil {
			return nil, fmt.Errorf("frame: %w", err)
		}
	}
	return json.RawMessage(b.reply), b.err
}

// TestChild believes no child that is killed, talks nonsense, or says what only the
// parent can know.
func TestChild(t *testing.T) {
	rows := []struct {
		name   string
		runner broken
		want   string
	}{
		{"killed", broken{err: fmt.Errorf("run: %w", killed("memory"))}, "incomplete sandbox_memory"},
		{"killed after a member", broken{frames: []string{"member"}, err: killed("timeout")}, "incomplete sandbox_timeout"},
		{"nonsense", broken{reply: "yes"}, "incomplete archive_answer"},
		{"other frame", broken{frames: []string{"image"}, reply: "{}"}, "incomplete archive_answer"},
		{"other reason", broken{reply: `{"reasons":["all_good"]}`}, "incomplete archive_answer"},
		{"known reason", broken{reply: `{"reasons":["zip_overlap"]}`}, "refused zip_overlap"},
		{"too many frames", broken{frames: []string{"member", "member", "member"}, reply: "{}"}, "incomplete archive_entries"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			cfg := config(t, &finder{})
			cfg.Runner = row.runner
			in := input(t, gzipped(t, []byte(hello)))
			in.Rules.Archive.MaxEntries = 2
			if got := verdict(judge(t, archive.New(cfg), in)); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
	t.Run("ErrDown", func(t *testing.T) {
		cfg := config(t, &finder{})
		cfg.Runner = broken{err: fmt.Errorf("start: %w", scanner.ErrDown)}
		if _, err := archive.New(cfg).Scan(context.Background(), input(t, gzipped(t, nil))); !errors.Is(err, scanner.ErrDown) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("MaxTime", func(t *testing.T) {
		cfg := config(t, &finder{})
		var now time.Time
		cfg.Now = func() time.Time { now = now.Add(time.Minute); return now }
		if got := verdict(judge(t, archive.New(cfg), input(t, nest(t, 5, []byte(hello))))); got != "incomplete archive_time" {
			t.Errorf("%q", got)
		}
	})
}

// thorough is a malware engine that takes its time over everything.
type thorough struct {
	take func()
	n    int // members it has had
}

func (*thorough) Name() string { return "thorough" }

func (e *thorough) Stream(context.Context, io.Reader, int64) (scanner.Result, error) {
	e.take()
	e.n++
	return scanner.Result{Result: registry.VerdictClean}, nil
}

// TestEnginesHaveAnEnd: of many members none of which is over an engine's own limit, one
// object must not keep a worker for days.
func TestEnginesHaveAnEnd(t *testing.T) {
	var now time.Time
	e := &thorough{take: func() { now = now.Add(2 * time.Minute) }}
	cfg := config(t, nil)
	cfg.Malware, cfg.Now = []scanner.Streamer{e}, func() time.Time { return now }
	var files []file
	for i := range 100 {
		files = append(files, file{fmt.Sprint(i), hello})
	}
	if got := verdict(judge(t, archive.New(cfg), input(t, zipped(t, files...)))); got != "incomplete archive_time" || e.n != 31 {
		t.Errorf("%q after %d members", got, e.n)
	}
	if got := verdict(judge(t, archive.New(cfg), input(t, zipped(t, files[:30]...)))); got != "clean" {
		t.Errorf("%q", got)
	}
}

// TestTogether has one engine judge several objects at a time.
func TestTogether(t *testing.T) {
	cfg := config(t, &finder{})
	cfg.SpoolDir += "/that/is/made"
	e := archive.New(cfg)
	clean, infected := nest(t, 3, []byte(hello)), nest(t, 3, []byte(marker))
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			content, want := clean, "clean"
			if i%2 == 1 {
				content, want = infected, "infected infected_member"
			}
			if got := verdict(judge(t, e, input(t, content))); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// slow is a malware engine that nobody waits for.
type slow struct{ cancel context.CancelFunc }

func (slow) Name() string { return "slow" }

func (s slow) Stream(ctx context.Context, _ io.Reader, _ int64) (scanner.Result, error) {
	s.cancel()
	<-ctx.Done()
	return scanner.Result{}, ctx.Err()
}

// TestEnds returns when its context ends, without a verdict.
func TestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg := config(t, nil)
	cfg.Malware = []scanner.Streamer{slow{cancel}}
	if _, err := archive.New(cfg).Scan(ctx, input(t, zipped(t, file{"a", hello}, file{"b", hello}))); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
