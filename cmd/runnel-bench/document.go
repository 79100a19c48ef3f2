//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// The generated part of the page is between these lines.
const (
	beginMarker = "<!-- begin of what runnel-bench writes -->"
	endMarker   = "<!-- end of what runnel-bench writes -->"
)

// writeDocument replaces the generated part of a page, and writes the plots to its directory.
func writeDocument(path string, r report) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err = replaceGenerated(text, generated(r))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, p := range r.plots {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), p.file), p.svg(), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(path, text, 0o644)
}

// replaceGenerated replaces what is between the markers, each of which must be a line of its own
// and occur once.
func replaceGenerated(page, part []byte) ([]byte, error) {
	begin, end := []byte(beginMarker+"\n"), []byte("\n"+endMarker+"\n")
	if bytes.Count(page, begin) != 1 || bytes.Count(page, end) != 1 {
		return nil, errors.New("it does not have one line " + beginMarker + " and one line " + endMarker)
	}
	before, rest, _ := bytes.Cut(page, begin)
	_, after, found := bytes.Cut(rest, end[1:])
	if !found {
		return nil, errors.New(endMarker + " is before " + beginMarker)
	}
	return bytes.Join([][]byte{before, begin, part, end[1:], after}, nil), nil
}

// generated returns the table and the plots in Markdown.
func generated(r report) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s\nOther processes used at most %.0f %% of the processor time during a measurement.\n\n", machine(), r.others*100)
	b.WriteString("| what | compared with | result | measured | target | met |\n|---|---|---|---|---|---|\n")
	for _, f := range r.figures {
		if f.plotted {
			continue
		}
		cells := []string{f.what, f.versus, format(f.values[0], f.unit), f.detail, f.goal.format(f.unit), f.verdict()}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, p := range r.plots {
		fmt.Fprintf(&b, "\n![%s](%s)\n", p.title, p.file)
	}
	b.WriteString("\n")
	return b.Bytes()
}

// machine describes what the figures were measured on.
func machine() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // never fails
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return fmt.Sprintf("Measured with %s on %d processors (%s), Linux %s.", runtime.Version(), runtime.NumCPU(), runtime.GOARCH, release)
}
