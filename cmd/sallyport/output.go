package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// writeJSON writes one value on one line.
func (a *app) writeJSON(v any) error {
	return json.NewEncoder(a.out).Encode(v)
}

// printf writes a line of text for people. With --json it writes nothing.
func (a *app) printf(format string, args ...any) {
	if !a.json {
		fmt.Fprintf(a.out, format, args...)
	}
}

// table writes rows under a header, or v as JSON with --json.
func (a *app) table(v any, header string, rows [][]string) error {
	if a.json {
		return a.writeJSON(v)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, header)
	for _, row := range rows {
		for i := range row {
			row[i] = oneLine(row[i])
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// printable replaces what a terminal would take as a command. File names and
// messages come from other people.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsGraphic(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// oneLine is printable for what must not begin another line: a name in a list
// could pass for the row of another thing.
func oneLine(s string) string {
	return strings.ReplaceAll(printable(s), "\n", string(unicode.ReplacementChar))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// bytesText writes a number of bytes for people, with three digits or so.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}
