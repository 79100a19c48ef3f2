// Package screentest compares, for tests, what tmux shows.
package screentest

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Normalize replaces the lines of "tmux capture-pane -e -p" by one text for each run of cells of the same style.
// With trim, blank cells at the end of a line are left out: tmux shows there what was written, but not what was
// erased.
func Normalize(captured string, trim bool) string {
	lines := strings.Split(captured, "\n")
	var style captureStyle
	for i, line := range lines {
		lines[i] = style.normalize(line, trim)
	}
	return strings.Join(lines, "\n")
}

// captureStyle is the style at a place of what capture-pane has printed. It knows the sequences that tmux uses.
type captureStyle struct {
	fg, bg, line string
	attributes   []string
	graphics     bool
}

type captureCell struct{ style, text string }

func (s *captureStyle) normalize(line string, trim bool) string {
	var cells []captureCell
	for line != "" {
		if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
			var params string
			params, line, _ = strings.Cut(rest, "m")
			s.apply(strings.Split(params, ";"))
			continue
		}
		if line[0] == 0x0e || line[0] == 0x0f {
			s.graphics = line[0] == 0x0e
			line = line[1:]
			continue
		}
		r, n := utf8.DecodeRuneInString(line)
		line = line[n:]
		if i := strings.IndexRune("lqkxmj", r); s.graphics && i >= 0 {
			r = []rune("┌─┐│└┘")[i]
		}
		cells = append(cells, captureCell{s.String(), string(r)})
	}
	for n := len(cells) - 1; n >= 0 && cells[n].text == " " && trim; n-- {
		cells = cells[:n]
	}
	var b strings.Builder
	last := ""
	for _, c := range cells {
		if c.style != last {
			fmt.Fprintf(&b, "<%s>", c.style)
			last = c.style
		}
		b.WriteString(c.text)
	}
	return b.String()
}

func (s *captureStyle) String() string {
	return strings.Join(append([]string{s.fg, s.bg, s.line}, s.attributes...), " ")
}

func (s *captureStyle) apply(params []string) {
	for len(params) > 0 {
		p, used := params[0], 1
		if (p == "38" || p == "48" || p == "58") && len(params) > 2 {
			used = 3
			if params[1] == "2" {
				used = 5
			}
			p = strings.Join(params[:used], ";")
		}
		params = params[used:]
		switch {
		case p == "0" || p == "":
			*s = captureStyle{graphics: s.graphics}
		case p == "39":
			s.fg = ""
		case p == "49":
			s.bg = ""
		case p == "59":
			s.line = ""
		case len(p) == 2 && p[0] == '3', len(p) == 2 && p[0] == '9', strings.HasPrefix(p, "38;"):
			s.fg = p
		case len(p) == 2 && p[0] == '4', len(p) == 3 && p[:2] == "10", strings.HasPrefix(p, "48;"):
			s.bg = p
		case strings.HasPrefix(p, "58"):
			s.line = p
		case !slices.Contains(s.attributes, p):
			s.attributes = append(s.attributes, p)
			slices.Sort(s.attributes)
		}
	}
}
