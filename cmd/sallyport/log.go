package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"sallyport/cmd/sallyport/config"
)

// newLogger returns the server's log, and what writes its last lines.
func newLogger(w io.Writer, cfg config.Config) (log *slog.Logger, flush func()) {
	lines := newLineBuffer(w)
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	var h slog.Handler = slog.NewTextHandler(lines, options)
	if cfg.LogFormat == "json" {
		h = slog.NewJSONHandler(lines, options)
	}
	return slog.New(prompt{h, lines.flush}), lines.flush
}

const (
	lineWait = 50 * time.Millisecond // how long a line waits for others
	lineRoom = 64 << 10              // bytes
)

// lineBuffer writes many lines at once: there is a line per request, and a
// system call for each would be a good part of what a small request costs. A
// process that is killed takes the lines of the last lineWait with it; the
// access records of the audit log say that some are missing.
type lineBuffer struct {
	w io.Writer

	mu    sync.Mutex // protects the fields below
	lines []byte
	due   *time.Timer
}

func newLineBuffer(w io.Writer) *lineBuffer {
	b := &lineBuffer{w: w}
	b.due = time.AfterFunc(lineWait, b.flush)
	return b
}

// Write takes one or more whole lines. It reports no failure of the writing
// below: there is nowhere to log it.
func (b *lineBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines)+len(p) > lineRoom {
		b.flushLocked()
	}
	if len(b.lines) == 0 {
		b.due.Reset(lineWait)
	}
	b.lines = append(b.lines, p...)
	return len(p), nil
}

func (b *lineBuffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushLocked()
}

func (b *lineBuffer) flushLocked() {
	if len(b.lines) > 0 {
		_, _ = b.w.Write(b.lines)
		b.lines = b.lines[:0]
	}
}

// prompt is a handler that has warnings and errors written at once.
type prompt struct {
	slog.Handler
	flush func()
}

func (p prompt) Handle(ctx context.Context, r slog.Record) error {
	err := p.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		p.flush()
	}
	return err
}

func (p prompt) WithAttrs(attrs []slog.Attr) slog.Handler {
	return prompt{p.Handler.WithAttrs(attrs), p.flush}
}

func (p prompt) WithGroup(name string) slog.Handler {
	return prompt{p.Handler.WithGroup(name), p.flush}
}

// quiet leaves out what is not at least a warning, unless everything is to be
// logged: health checks and scrapes come every few seconds for ever.
func quiet(log *slog.Logger, level slog.Level) *slog.Logger {
	if level <= slog.LevelDebug {
		return log
	}
	return slog.New(warnings{log.Handler()})
}

// warnings is a handler for warnings and errors.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
