package scanner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/registry"
	"sallyport/scanner"
)

// asked makes engines that write down that they were asked.
type asked struct{ names []string }

func (a *asked) engine(name string, r scanner.Result, err error) scanner.Engine {
	return named{name, func(context.Context, scanner.Input) (scanner.Result, error) {
		a.names = append(a.names, name)
		return r, err
	}}
}

var clean = scanner.Result{Result: registry.VerdictClean}

func TestWhomThePanelAsks(t *testing.T) {
	infected := scanner.Result{Result: registry.VerdictInfected, Reason: "malware", Signature: "Eicar"}
	for _, c := range []struct {
		name     string
		rules    registry.ScanRules
		heard    map[string]scanner.Result
		required bool
		asked    string
		result   registry.VerdictResult
		reason   string
		notes    string
	}{
		{name: "all", asked: "type archive one two", result: "clean", notes: "type archive one two"},
		{name: "those that are named", rules: registry.ScanRules{Engines: []string{"two"}}, asked: "type archive two", result: "clean", notes: "type archive two"},
		{name: "in the rules' order", rules: registry.ScanRules{Engines: []string{"two", "one"}}, asked: "type archive two one", result: "clean", notes: "type archive two one"},
		{name: "one that is not there", rules: registry.ScanRules{Engines: []string{"two", "three"}}, asked: "type archive two", result: "incomplete", reason: scanner.ReasonEngineUnknown, notes: "type archive two"},
		{name: "off", rules: registry.ScanRules{Mode: registry.ScanOff}, asked: "type archive", result: "clean", notes: "type archive malware"},
		{name: "off, but required", rules: registry.ScanRules{Mode: registry.ScanOff}, required: true, asked: "type archive", result: "incomplete", reason: scanner.ReasonScannerRequired, notes: "type archive malware"},
		{name: "heard", heard: map[string]scanner.Result{"one": clean, "type": clean}, asked: "archive two", result: "clean", notes: "type archive one two"},
		{name: "heard malware", heard: map[string]scanner.Result{"type": clean, "two": infected}, asked: "", result: "infected", reason: "malware", notes: "type two"},
		{name: "heard by one that nobody wants", heard: map[string]scanner.Result{"three": clean}, asked: "type archive one two", result: "clean", notes: "type archive one two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a asked
			p := scanner.NewPanel(scanner.PanelConfig{
				Inspect:  []scanner.Engine{a.engine("type", clean, nil), a.engine("archive", clean, nil)},
				Malware:  []scanner.Engine{a.engine("one", clean, nil), a.engine("two", clean, nil)},
				Required: c.required, Now: time.Now,
			})
			o, err := p.Judge(t.Context(), scanner.Case{Rules: c.rules, Heard: c.heard})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(a.names, " "); got != c.asked {
				t.Errorf("asked %q, want %q", got, c.asked)
			}
			var notes []string
			for _, n := range o.Verdict.Engines {
				notes = append(notes, n.Name)
			}
			if got := strings.Join(notes, " "); got != c.notes || o.Verdict.Result != c.result || o.Verdict.Reason != c.reason {
				t.Errorf("%s %q by %q, want %s %q by %q", o.Verdict.Result, o.Verdict.Reason, got, c.result, c.reason, c.notes)
			}
		})
	}
}

func TestRequiredWithoutEngines(t *testing.T) {
	var a asked
	p := scanner.NewPanel(scanner.PanelConfig{Inspect: []scanner.Engine{a.engine("type", clean, nil)}, Required: true, Now: time.Now})
	for _, mode := range []registry.ScanMode{registry.ScanDefault, registry.ScanOff, registry.ScanInline} {
		o, err := p.Judge(t.Context(), scanner.Case{Rules: registry.ScanRules{Mode: mode}})
		if err != nil || o.Verdict.Result != registry.VerdictIncomplete || o.Verdict.Reason != scanner.ReasonScannerRequired {
			t.Errorf("%q: %+v, %v", mode, o.Verdict, err)
		}
	}
}

// The first that is not content has the last word, and later engines are not asked.
func TestThePanelStopsAtTheFirst(t *testing.T) {
	for _, result := range []registry.VerdictResult{registry.VerdictInfected, registry.VerdictRefused, registry.VerdictIncomplete} {
		var a asked
		p := scanner.NewPanel(scanner.PanelConfig{Now: time.Now, Inspect: []scanner.Engine{
			a.engine("one", clean, nil), a.engine("two", scanner.Result{Result: result, Reason: "why"}, nil), a.engine("three", clean, nil)}})
		o, err := p.Judge(t.Context(), scanner.Case{Tries: 2})
		if err != nil || o.Verdict.Result != result || o.Verdict.Reason != "why" || o.Verdict.Attempts != 3 || slices.Contains(a.names, "three") {
			t.Errorf("%s: %+v after %v, %v", result, o.Verdict, a.names, err)
		}
	}
}

// Renditions of what is not published are not left open.
func TestRenditionsAreClosedWithoutACleanVerdict(t *testing.T) {
	for name, last := range map[string]scanner.Engine{
		"refused": named{"last", func(context.Context, scanner.Input) (scanner.Result, error) {
			return scanner.Result{Result: registry.VerdictRefused}, nil
		}},
		"error": named{"last", func(context.Context, scanner.Input) (scanner.Result, error) {
			return scanner.Result{}, io.ErrUnexpectedEOF
		}},
		"panic": named{"last", func(context.Context, scanner.Input) (scanner.Result, error) { panic("last") }},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			p := scanner.NewPanel(scanner.PanelConfig{Now: time.Now, Inspect: []scanner.Engine{
				named{"image", func(context.Context, scanner.Input) (scanner.Result, error) {
					return scanner.Result{Result: registry.VerdictClean, Renditions: []scanner.Rendition{{File: f}}}, nil
				}}, last}})
			o, _ := p.Judge(t.Context(), scanner.Case{})
			if _, err := f.Stat(); !errors.Is(err, os.ErrClosed) || len(o.Renditions) > 0 {
				t.Errorf("%d renditions, file: %v", len(o.Renditions), err)
			}
		})
	}
}

func TestVerdictsAreCounted(t *testing.T) {
	var a asked
	turn := 0
	p := scanner.NewPanel(scanner.PanelConfig{Now: time.Now, Inspect: []scanner.Engine{
		a.engine("type", clean, nil),
		named{"moody", func(context.Context, scanner.Input) (scanner.Result, error) {
			switch turn++; turn {
			case 1:
				return scanner.Result{Result: registry.VerdictInfected}, nil
			case 2:
				return scanner.Result{}, fmt.Errorf("dial: %w", scanner.ErrDown)
			case 3:
				panic("moody")
			}
			return scanner.Result{Result: "nonsense"}, nil
		}},
	}})
	for range 4 {
		_, _ = p.Judge(t.Context(), scanner.Case{})
	}
	got := counts(t, p.Metrics(), "scan_verdicts_total")
	for labels, want := range map[string]float64{
		"moody down": 1, "moody error": 2, "moody infected": 1, "type clean": 4,
	} {
		if got[labels] != want {
			t.Errorf("%s: %v, want %v", labels, got[labels], want)
		}
	}
	if len(got) != 4 {
		t.Errorf("counts %v", got)
	}
}

// counts are the values of a counter, by its labels' values.
func counts(t *testing.T, collectors []prometheus.Collector, name string) map[string]float64 {
	t.Helper()
	all := prometheus.NewRegistry()
	all.MustRegister(collectors...)
	families, err := all.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			found[strings.Join(labels, " ")] = m.GetCounter().GetValue()
		}
	}
	return found
}

// slowly is a malware engine that takes streams.
type slowly struct {
	named
	stream func(context.Context, io.Reader, int64) (scanner.Result, error)
}

func (s slowly) Stream(ctx context.Context, r io.Reader, size int64) (scanner.Result, error) {
	return s.stream(ctx, r, size)
}

func inline(streams int, malware ...scanner.Engine) *scanner.Inline {
	return scanner.NewInline(scanner.InlineConfig{Streams: streams, Panel: scanner.NewPanel(scanner.PanelConfig{Malware: malware, Now: time.Now})})
}

// An engine that knows enough lets the body go on without it, if there is a use.
func TestABodyDoesNotWaitForAnEngineThatIsDone(t *testing.T) {
	const size = 1 << 20
	for name, c := range map[string]struct {
		says   scanner.Result
		err    error
		cut    bool
		result registry.VerdictResult
	}{
		"clean":      {clean, nil, false, "clean"},
		"infected":   {scanner.Result{Result: registry.VerdictInfected, Reason: "malware", Signature: "Head"}, nil, true, "infected"},
		"incomplete": {scanner.Result{Result: registry.VerdictIncomplete, Reason: "limit"}, nil, true, "incomplete"},
		"down":       {scanner.Result{}, scanner.ErrDown, true, ""},
		"error":      {scanner.Result{}, errors.New("broken"), false, "clean"}, // asked again
	} {
		t.Run(name, func(t *testing.T) {
			e := slowly{named{"head", func(context.Context, scanner.Input) (scanner.Result, error) { return clean, nil }},
				func(_ context.Context, r io.Reader, _ int64) (scanner.Result, error) {
					if _, err := io.ReadFull(r, make([]byte, 4)); err != nil {
						return scanner.Result{}, err
					}
					return c.says, c.err
				}}
			i := inline(0, e)
			body := i.Tee(t.Context(), registry.ScanRules{}, size)
			var wrote int
			var err error
			for wrote < size && err == nil {
				var n int
				n, err = body.Write(make([]byte, size/256))
				wrote += n
			}
			if (err != nil) != c.cut || (wrote < size) != c.cut {
				t.Errorf("wrote %d with %v", wrote, err)
			}
			v, _, err := i.Judge(t.Context(), &registry.Claim{}, nil, nil, body)
			if v.Result != c.result || v.Reason != c.says.Reason {
				t.Errorf("%+v, %v", v, err)
			}
			if down := name == "down"; errors.Is(err, scanner.ErrDown) != down || (err == nil) == down {
				t.Errorf("%v, down should be %t", err, down)
			}
		})
	}
}

// Engines begin to judge with the last byte, not when the store is done with it.
func TestTheEndIsHeardWithTheLastByte(t *testing.T) {
	done := make(chan struct{})
	i := inline(0, slowly{named{"all", nil}, func(_ context.Context, r io.Reader, _ int64) (scanner.Result, error) {
		defer close(done)
		_, err := io.Copy(io.Discard, r)
		return clean, err
	}})
	body := i.Tee(t.Context(), registry.ScanRules{}, 10)
	if _, err := body.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	wait(t, done)
	if v, _, err := i.Judge(t.Context(), &registry.Claim{}, nil, nil, body); err != nil || v.Result != registry.VerdictClean {
		t.Errorf("%+v, %v", v, err)
	}
}

// What was not heard whole is no verdict.
func TestJudgeOfHalfABody(t *testing.T) {
	done := make(chan struct{})
	e := slowly{named{"all", nil}, func(_ context.Context, r io.Reader, _ int64) (scanner.Result, error) {
		defer close(done)
		_, err := io.Copy(io.Discard, r)
		return clean, err
	}}
	i := inline(0, e)
	body := i.Tee(t.Context(), registry.ScanRules{}, 10)
	if _, err := body.Write(make([]byte, 9)); err != nil {
		t.Fatal(err)
	}
	if v, _, err := i.Judge(t.Context(), &registry.Claim{}, nil, nil, body); err == nil {
		t.Errorf("%+v, want an error", v)
	}
	wait(t, done)
}

// Slow bodies take only so much of what engines can hear at a time, and give it back.
func TestStreamsAreBounded(t *testing.T) {
	e := slowly{named{"all", nil}, func(_ context.Context, r io.Reader, _ int64) (scanner.Result, error) {
		_, err := io.Copy(io.Discard, r)
		return clean, err
	}}
	i := inline(2, e)
	one, two := i.Tee(t.Context(), registry.ScanRules{}, 0), i.Tee(t.Context(), registry.ScanRules{}, 0)
	if one == nil || two == nil || i.Tee(t.Context(), registry.ScanRules{}, 0) != nil {
		t.Fatal("two bodies are heard at once, not more")
	}
	one.Close()
	one.Close()
	three := i.Tee(t.Context(), registry.ScanRules{}, 0)
	if three == nil || i.Tee(t.Context(), registry.ScanRules{}, 0) != nil {
		t.Fatal("one was given up, once")
	}
	for _, body := range []io.WriteCloser{two, three} {
		if v, _, err := i.Judge(t.Context(), &registry.Claim{}, nil, nil, body); err != nil || v.Result != registry.VerdictClean {
			t.Errorf("%+v, %v", v, err)
		}
		body.Close()
	}
	if i.Tee(t.Context(), registry.ScanRules{}, 0) == nil {
		t.Error("nothing was given back")
	}
}

func TestNobodyListens(t *testing.T) {
	var a asked
	i := inline(0, a.engine("files", clean, nil))
	if i.Tee(t.Context(), registry.ScanRules{}, 1) != nil || !i.Malware() {
		t.Error("an engine that takes no streams was given one")
	}
	if i.Tee(t.Context(), registry.ScanRules{Mode: registry.ScanOff}, 1) != nil {
		t.Error("an engine listens where scanning is off")
	}
	if inline(0).Malware() {
		t.Error("there is no engine")
	}
}

func TestInlineTellsThatAnEngineIsDown(t *testing.T) {
	down := true
	i := inline(0, named{"moody", func(context.Context, scanner.Input) (scanner.Result, error) {
		if down {
			return scanner.Result{}, scanner.ErrDown
		}
		return clean, nil
	}})
	for _, down = range []bool{true, false} {
		_, _, err := i.Judge(t.Context(), &registry.Claim{}, nil, nil, nil)
		if errors.Is(err, scanner.ErrDown) != down || i.Down() != down {
			t.Errorf("down %t: %v, says %t", down, err, i.Down())
		}
	}
}
