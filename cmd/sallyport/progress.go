package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	progressEvery = 100 * time.Millisecond
	progressWidth = 24 // characters of the bar
)

// progress draws one transfer's bar on a terminal.
type progress struct {
	w     io.Writer
	now   func() time.Time
	name  string
	total int64
	start time.Time
	drawn time.Time
}

// progress returns the bar of a transfer, nil where nobody would see it.
func (a *app) progress(name string, total int64) *progress {
	f, ok := a.errOut.(*os.File)
	if !ok || a.json || !a.terminal(f) {
		return nil
	}
	return &progress{w: f, now: a.now, name: printable(name), total: total, start: a.now()}
}

// update says how many bytes went. It may be called for every one of them.
func (p *progress) update(done int64) {
	now := p.now()
	if now.Sub(p.drawn) < progressEvery && done != p.total {
		return
	}
	p.drawn = now
	fmt.Fprintf(p.w, "\r\x1b[K%s", p.line(done, now.Sub(p.start)))
}

// clear takes the bar away.
func (p *progress) clear() { fmt.Fprint(p.w, "\r\x1b[K") }

func (p *progress) line(done int64, took time.Duration) string {
	share := 1.0
	if p.total > 0 {
		share = float64(done) / float64(p.total)
	}
	filled := min(int(share*progressWidth), progressWidth)
	line := fmt.Sprintf("%s [%s%s] %3d %%  %s of %s", p.name, strings.Repeat("=", filled),
		strings.Repeat(" ", progressWidth-filled), int(share*100), bytesText(done), bytesText(p.total))
	if seconds := took.Seconds(); seconds >= 1 && done > 0 {
		rate := float64(done) / seconds
		left := time.Duration(float64(p.total-done) / rate * float64(time.Second)).Round(time.Second)
		line += fmt.Sprintf("  %s/s  %s left", bytesText(int64(rate)), left)
	}
	return line
}
