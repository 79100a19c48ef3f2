package policy

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern  string
		match    []string
		mismatch []string
	}{
		{"status", []string{"status"}, []string{"", "Status", "status ", " status", "status\n", "statu", "statuss"}},
		{"", []string{""}, []string{"a", "-"}},
		{"*", []string{"", "a", "a-b", "a\nb", "\xff", "*", " -x"}, []string{"-", "-x", "--", "--x"}},
		{"**", []string{"", "a", "-", "--exec=sh"}, nil},
		{"--format=*", []string{"--format=", "--format=a b", "--format=-x"}, []string{"--format", "-format=x"}},
		{"*.txt", []string{".txt", "a.txt", "a.txt.txt"}, []string{"-a.txt", "a.txt ", "a.txtx"}},
		{"**.txt", []string{"-a.txt"}, []string{"-a.txt/"}},
		{"a*b*c", []string{"abc", "aXbYc", "abbcc", "abcbc"}, []string{"ac", "acb", "abcd", "Xabc"}},
		{"ab*ba", []string{"abba", "abXba"}, []string{"aba", "ab"}},
		{`\*`, []string{"*"}, []string{"a", `\*`, ""}},
		{`a\\b`, []string{`a\b`}, []string{`a\\b`, "ab"}},
		{`\~x`, []string{"~x"}, []string{"x"}},
		{`\xff\x2a*`, []string{"\xff*", "\xff*a"}, []string{"\xffa", "ÿ*"}},
		{"/srv/*", []string{"/srv/", "/srv/../etc"}, []string{"/srv", "srv/"}}, // bytes, not paths
		{"~[0-9]+", []string{"0", "42"}, []string{"", "4x", "x4", "4\n", "\n4"}},
		{"~a|b", []string{"a", "b"}, []string{"ab", "ax", "xb"}},
		{"~a.b", []string{"a\nb", "a\xffb"}, []string{"ab"}},
		{"~(?m)^a$", []string{"a"}, []string{"a\nb", "b\na"}},
		{"~", []string{""}, []string{"a"}},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		for _, arg := range c.match {
			if !p.Match(arg) {
				t.Errorf("%q does not match %q", c.pattern, arg)
			}
		}
		for _, arg := range c.mismatch {
			if p.Match(arg) {
				t.Errorf("%q matches %q", c.pattern, arg)
			}
		}
	}
}

func TestPatternErrors(t *testing.T) {
	for _, text := range []string{
		"***", `\`, `a\`, `\n`, `\d`, `\x`, `\x0`, `\x00`, `\xgg`, "a\x00", "~(", "~a)(b", "~a{1001}", strings.Repeat("a", maxPattern+1),
	} {
		if _, err := ParsePattern(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		list []string
		args []string
		bad  int // -1: they match
	}{
		{nil, []string{"-x", "anything"}, -1},
		{nil, nil, -1},
		{[]string{}, nil, -1},
		{[]string{}, []string{"a"}, 0},
		{[]string{}, []string{""}, 0},
		{[]string{"a", "*"}, []string{"a", "b"}, -1},
		{[]string{"a", "*"}, []string{"a"}, 1},
		{[]string{"a", "*"}, []string{"a", "b", "c"}, 2},
		{[]string{"a", "*"}, []string{"a", "-b"}, 1},
		{[]string{"a", "*..."}, []string{"a"}, -1},
		{[]string{"a", "*..."}, []string{"a", "b", "c"}, -1},
		{[]string{"a", "*..."}, []string{"a", "b", "--c"}, 2},
		{[]string{"**..."}, []string{"--c", "-"}, -1},
		{[]string{"x=*..."}, []string{"x=1", "x=2"}, -1},
		{[]string{"x=*..."}, []string{"x=1", "y=2"}, 1},
		{[]string{`a..\.`}, []string{"a..."}, -1},
		{[]string{"~a..."}, []string{"abcd"}, -1}, // of a regular expression, which is no rest
	} {
		a, err := ParseArguments(c.list)
		if err != nil {
			t.Errorf("%q: %v", c.list, err)
			continue
		}
		if bad, ok := a.Match(c.args); ok != (c.bad < 0) || !ok && bad != c.bad {
			t.Errorf("%q, %q: %d, %v", c.list, c.args, bad, ok)
		}
	}
	for _, list := range [][]string{{"..."}, {"a", "..."}, make([]string, maxPatterns+1), {"***..."}} {
		if _, err := ParseArguments(list); err == nil {
			t.Errorf("%d patterns %.20q are accepted", len(list), list)
		}
	}
}

// TestPatternIsLinear: a long argument that nearly matches many wildcards takes no time to speak
// of. With backtracking this test does not end.
func TestPatternIsLinear(t *testing.T) {
	text := strings.Repeat("a", 128<<10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, pattern := range []string{strings.Repeat("*a", 1000) + "*b", "~(a*)*b", "~(a|aa)+b"} {
			if p, err := ParsePattern(pattern); err != nil || p.Match(text) {
				t.Errorf("%.20q: %v", pattern, err)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("matching takes exponential time")
	}
}

// FuzzPattern compares patterns with the regular expressions of the same meaning.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"a*b", "**", "*", `\x41`, `\\*`, "~a|b", "a**b", "-*-", "*-"} {
		f.Add(s, "a-b")
		f.Add(s, "-ab")
		f.Add(s, "-")
	}
	f.Fuzz(func(t *testing.T, text, arg string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		got := p.Match(arg)
		if p.re != nil {
			return
		}
		option := p.pieces[0] == "" && len(p.pieces) > 1 && !p.option && strings.HasPrefix(arg, "-")
		if want := !option && translated(&p).MatchString(latin1(arg)); got != want {
			t.Errorf("%q matches %q: %v", text, arg, got)
		}
	})
}

// translated returns the pattern as a regular expression for a text with one character per byte,
// except that a wildcard at its beginning matches a "-" too.
func translated(p *Pattern) *regexp.Regexp {
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	for i, piece := range p.pieces {
		if i > 0 {
			re.WriteString(`.*`)
		}
		re.WriteString(regexp.QuoteMeta(latin1(piece)))
	}
	return regexp.MustCompile(re.String() + `\z`)
}

func latin1(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteRune(rune(c))
	}
	return b.String()
}
