package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"sallyport/registry"
	"sallyport/scanner"
)

// errSettled ends a scan whose verdict nothing can change any more.
var errSettled = errors.New("archive: settled")

// errCut is a member whose child went away.
var errCut = errors.New("archive: member was cut off")

// container is an archive to open: the object itself or a member in the spool.
type container struct {
	file   *os.File
	offset int64
	size   int64
	format Format
	depth  int // 1 is the object
}

// scan is one object's way through the engine. It is not safe for concurrent use.
type scan struct {
	cfg       Config
	rules     registry.ArchiveRules
	streamers []scanner.Streamer
	packed    int64 // the object's size
	spool     spool
	sniffer   sniffer

	waiting []container
	entries int           // of all containers
	bytes   int64         // unpacked, of all members
	took    time.Duration // unpacking, without the malware engines
	engines time.Duration // what those took
	worst   scanner.Result
}

// run opens what waits until nothing does. The last one found is the next one opened:
// the way down comes first, so a bomb of depth is met before one of width.
func (s *scan) run(ctx context.Context) error {
	for len(s.waiting) > 0 {
		if s.took > s.cfg.MaxTime {
			return s.limit(ReasonTime)
		}
		c := s.waiting[len(s.waiting)-1]
		s.waiting = s.waiting[:len(s.waiting)-1]
		if err := s.open(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// find notes an archive to open, or why it is not.
func (s *scan) find(c container) {
	switch {
	case c.format == NoFormat:
	case c.format == Foreign:
		s.note(registry.VerdictIncomplete, ReasonUnsupported)
	case c.depth > s.rules.MaxDepth:
		s.note(registry.VerdictIncomplete, ReasonDepth)
	default:
		s.waiting = append(s.waiting, c)
	}
}

// note makes a verdict the object's if it weighs more than what is known.
func (s *scan) note(result registry.VerdictResult, reason string) {
	s.take(scanner.Result{Result: result, Reason: reason})
}

func (s *scan) take(r scanner.Result) {
	if weight(r.Result) > weight(s.worst.Result) {
		s.worst = scanner.Result{Result: r.Result, Reason: r.Reason, Signature: r.Signature, Version: version}
	}
}

// limit notes a limit that was passed and ends the scan.
func (s *scan) limit(reason string) error {
	s.note(registry.VerdictIncomplete, reason)
	return errSettled
}

// open has a child unpack one archive and looks at all that comes out of it.
func (s *scan) open(ctx context.Context, c container) error {
	start, engines := s.cfg.Now(), s.engines
	took := func() time.Duration { return s.took + s.cfg.Now().Sub(start) - (s.engines - engines) }
	var stopped error
	frame := func(kind string, _ json.RawMessage, body io.Reader) error {
		if kind != memberFrame {
			stopped = s.limit(ReasonChild)
			return stopped
		}
		if s.entries++; s.entries > s.rules.MaxEntries {
			stopped = s.limit(ReasonEntries)
			return stopped
		}
		m, err := s.spool.fill(&metered{s: s, body: body, took: took})
		if err != nil {
			if errors.Is(err, errSettled) {
				stopped = errSettled
			}
			return err
		}
		before := s.cfg.Now()
		stopped = s.look(ctx, m, c.depth+1)
		if s.engines += s.cfg.Now().Sub(before); stopped == nil && s.engines > s.cfg.MaxEngineTime {
			stopped = s.limit(ReasonTime)
		}
		return stopped
	}
	left := s.rules.MaxEntries - s.entries
	reply, err := s.cfg.Runner.Run(ctx, JobName, c.file, Params{Offset: c.offset, Size: c.size, Format: c.format, MaxEntries: left}, frame)
	s.took = took()
	if err != nil {
		return s.failed(ctx, err, stopped)
	}
	return s.answered(reply, s.rules.MaxEntries-left)
}

// failed tells a verdict from an error of a child that did not finish.
func (s *scan) failed(ctx context.Context, err, stopped error) error {
	var killed interface{ KilledBy() string }
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case stopped != nil:
		return stopped
	case errors.As(err, &killed):
		// A child's end is the object's doing. What waits is not opened any more: the
		// object is incomplete as it is, and would only cost more children.
		return s.limit(ReasonSandbox + killed.KilledBy())
	}
	return fmt.Errorf("unpack: %w", err)
}

// answered takes in what the child says of its archive. before is how many entries
// there were of the ones opened earlier.
func (s *scan) answered(raw json.RawMessage, before int) error {
	var reply Reply
	if err := json.Unmarshal(raw, &reply); err != nil {
		return s.limit(ReasonChild)
	}
	// Entries without content send no frame, and count.
	s.entries = max(s.entries, before+reply.Entries)
	for _, reason := range reply.Reasons {
		if reason == ReasonEncrypted && s.rules.Encrypted {
			continue
		}
		s.note(resultOf(reason))
	}
	if s.entries > s.rules.MaxEntries {
		return s.limit(ReasonEntries)
	}
	return nil
}

// look gives one member to the malware engines, and keeps it if it is an archive.
func (s *scan) look(ctx context.Context, m *member, depth int) error {
	for _, streamer := range s.streamers {
		r, err := streamer.Stream(ctx, io.NewSectionReader(m, 0, m.size), m.size)
		if err != nil {
			return fmt.Errorf("%s: %w", streamer.Name(), err)
		}
		if r.Result == registry.VerdictInfected && r.Reason == "" {
			r.Reason = ReasonInfected
		}
		s.take(r)
		if r.Result == registry.VerdictInfected {
			return errSettled
		}
	}
	format, err := s.sniffer.sniff(io.NewSectionReader(m, 0, m.size))
	if err != nil {
		return err
	}
	if format == NoFormat {
		return nil
	}
	c := container{size: m.size, format: format, depth: depth}
	if format != Foreign && depth <= s.rules.MaxDepth {
		if c.file, c.offset, err = s.spool.keep(m); err != nil {
			return err
		}
	}
	s.find(c)
	return nil
}

// metered is a member on its way out of the child, held against the limits.
type metered struct {
	s    *scan
	body io.Reader
	took func() time.Duration
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.body.Read(p)
	s := m.s
	s.bytes += int64(n)
	switch {
	case s.bytes > s.rules.MaxBytes:
		return n, s.limit(ReasonBytes)
	case s.bytes > ratioFloor && s.bytes/int64(s.rules.MaxRatio) > s.packed:
		return n, s.limit(ReasonRatio)
	case m.took() > s.cfg.MaxTime:
		return n, s.limit(ReasonTime)
	case err == io.ErrUnexpectedEOF:
		return n, errCut // which io.ReadFull says of whole members, too
	}
	return n, err
}
