//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table prints figures as they are measured.
type table struct {
	w io.Writer
}

// The widths of the columns, which are not known in advance.
const (
	whatWidth   = 76
	valueWidth  = 12
	targetWidth = 18
)

func newTable(w io.Writer, programs []program) *table {
	t := &table{w: w}
	line := pad("what", whatWidth)
	for _, p := range programs {
		line += pad(p.name, valueWidth)
	}
	fmt.Fprintln(w, line+pad("target", targetWidth)+pad("ok", 5)+"of")
	return t
}

// add prints the figures of a report.
func (t *table) add(r report) error {
	for _, f := range r.figures {
		what := f.what
		if f.versus != "" {
			what += " / " + f.versus
		}
		line := pad(what, whatWidth)
		for _, v := range f.values {
			line += pad(format(v, f.unit), valueWidth)
		}
		line += pad(f.goal.format(f.unit), targetWidth) + pad(f.verdict(), 5) + f.detail
		if _, err := fmt.Fprintln(t.w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	if r.others < othersWarning {
		return nil
	}
	note := ""
	if r.others >= busyShare {
		note = ": -check ignores these figures"
	}
	_, err := fmt.Fprintf(t.w, "    (meanwhile other processes used %.0f %% of the processor time of the machine%s)\n", r.others*100, note)
	return err
}

// verdict is whether the first program meets the target.
func (f *figure) verdict() string {
	switch {
	case f.goal.value == 0:
		return ""
	case f.goal.met(f.values[0]):
		return "yes"
	default:
		return "no"
	}
}

// pad appends spaces up to the width, and at least one.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(1, width-utf8.RuneCountInString(s)))
}
