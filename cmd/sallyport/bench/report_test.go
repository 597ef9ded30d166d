//go:build bench && linux

package bench

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// series is what the rounds of one row gave for one server, in order.
type series []sample

func (s series) rate() float64 {
	return median(s, sample.rate)
}

func (s series) spread() (low, high float64) {
	low, high = s[0].rate(), s[0].rate()
	for _, x := range s {
		low, high = min(low, x.rate()), max(high, x.rate())
	}
	return low, high
}

// ratio is the median of what s did to what base did in the same round.
func (s series) ratio(base series) float64 {
	var ratios []float64
	for i := range min(len(s), len(base)) {
		ratios = append(ratios, s[i].rate()/base[i].rate())
	}
	return median(ratios, func(f float64) float64 { return f })
}

// cpu is the server's processor time per operation, over all rounds.
func (s series) cpu() time.Duration {
	return s.perOp(func(x sample) time.Duration { return x.cpu })
}

func (s series) behind() time.Duration {
	return s.perOp(func(x sample) time.Duration { return x.behind })
}

func (s series) perOp(of func(sample) time.Duration) time.Duration {
	var sum time.Duration
	var ops int64
	for _, x := range s {
		sum, ops = sum+of(x), ops+x.ops
	}
	return sum / time.Duration(ops)
}

func median[T any](all []T, of func(T) float64) float64 {
	var values []float64
	for _, x := range all {
		values = append(values, of(x))
	}
	slices.Sort(values)
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}

// aim is one thing the server is to reach.
type aim struct {
	text, measured string
	met            bool
}

// report prints tables as they come, and keeps the aims for the end.
type report struct {
	out  io.Writer
	list []aim
}

func newReport(out io.Writer) *report { return &report{out: out} }

func (r *report) printf(format string, args ...any) { fmt.Fprintf(r.out, format, args...) }

func (r *report) machine(v volume) {
	load, _ := os.ReadFile("/proc/loadavg") // only a hint
	fields := strings.Fields(string(load))
	r.printf("\n%s, %d processors, load %s; files on %s\n", runtime.Version(), runtime.NumCPU(),
		strings.Join(fields[:min(3, len(fields))], " "), v.note)
}

func (r *report) title(text, columns string) {
	hashes, decodes := yardsticks()
	r.printf("\n%s\n(now a processor hashes %.0f MiB/s of SHA-256 and decodes %.0f MiB/s of JSON)\n%s\n", text, hashes, decodes, columns)
}

// yardsticks tell how fast a processor is at the moment, in MiB/s: on a shared
// machine one run's processor times mean little beside another's without them. A
// neighbour slows ordinary code, which lives on caches, more than hashing.
func yardsticks() (hashes, decodes float64) {
	block := make([]byte, 1<<20)
	text := []byte("[" + strings.Repeat(`{"filename":"report.pdf","size":1048576},`, 2000) + "{}]")
	var rows []struct {
		Filename string
		Size     int64
	}
	hashes = speed(len(block), func() { sha256.Sum256(block) })
	decodes = speed(len(text), func() {
		if err := json.Unmarshal(text, &rows); err != nil {
			panic(err) // the text is ours
		}
	})
	return hashes, decodes
}

// speed is the best of many tries, which no other process got into.
func speed(n int, fn func()) float64 {
	best := time.Hour
	for range 40 {
		began := time.Now()
		fn()
		best = min(best, time.Since(began))
	}
	return float64(n) / (1 << 20) / best.Seconds()
}

// row prints one load for all servers; the first one is what the others are
// compared with.
func (r *report) row(l load, servers []server, results map[string]series) {
	base := results[servers[0].name]
	for i, s := range servers {
		name := l.name
		if i > 0 {
			name = ""
		}
		if s.missing != "" {
			r.printf("  %-26s %-12s %s\n", name, s.name, s.missing)
			continue
		}
		x := results[s.name]
		low, high := x.spread()
		r.printf("  %-26s %-12s %10s  (%s - %s)  %5.2f %12s", name, s.name,
			l.rateText(x.rate()), l.rateText(low), l.rateText(high), x.ratio(base), cpuText(x.cpu()))
		if x.behind() > 0 {
			r.printf(" + %s behind it", cpuText(x.behind()))
		}
		r.printf("\n")
	}
}

// rateText is MiB/s for what moves bytes by the million, the time of one for what
// takes long, else operations/s.
func (l load) rateText(rate float64) string {
	if l.each {
		return cpuText(time.Duration(float64(time.Second) / rate))
	}
	if l.size >= 1<<20 {
		return fmt.Sprintf("%.0f MiB/s", rate*float64(l.size)/(1<<20))
	}
	return fmt.Sprintf("%.0f /s", rate)
}

func cpuText(d time.Duration) string {
	if d >= 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.1f µs", float64(d)/1e3)
}

func sizeText(n int64) string {
	for _, unit := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.bytes {
			return fmt.Sprintf("%.4g %s", float64(n)/float64(unit.bytes), unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func (r *report) aim(text string, met bool, format string, args ...any) {
	r.list = append(r.list, aim{text, fmt.Sprintf(format, args...), met})
}

func (r *report) aims() {
	r.printf("\nAims\n")
	for _, a := range r.list {
		word := "missed"
		if a.met {
			word = "met"
		}
		r.printf("  %-6s  %-58s %s\n", word, a.text, a.measured)
	}
}
