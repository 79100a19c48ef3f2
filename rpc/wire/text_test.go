package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"
)

// textCases are texts and what they are as the inside of a JSON string.
var textCases = []struct{ name, text, json string }{
	{"empty", "", ``},
	{"plain", "abc", `abc`},
	{"quote and backslash", `a"b\c`, `a\"b\\c`},
	{"short escapes", "\b\f\n\r\t", `\b\f\n\r\t`},
	{"other controls", "\x00\x01\x0b\x1b\x1f", `\u0000\u0001\u000b\u001b\u001f`},
	{"not escaped", "\x20\x21\x23\x5b\x5d\x7f/<>&", "\x20\x21\x23\x5b\x5d\x7f/<>&"},
	{"beyond ASCII", "é\u2028\U0001f600\ufffd", "é\u2028\U0001f600\ufffd"},
}

func TestAppendText(t *testing.T) {
	for _, tc := range textCases {
		t.Run(tc.name, func(t *testing.T) {
			for at := range 3 * blockBytes { // every place in a block, with and without bytes after it
				pad := strings.Repeat("x", at)
				for _, tail := range []string{"", strings.Repeat("y", 2*blockBytes)} {
					got := string(AppendText([]byte("dst"), []byte(pad+tc.text+tail)))
					if diff := gocmp.Diff("dst"+pad+tc.json+tail, got); diff != "" {
						t.Fatalf("at %d (-want +got):\n%s", at, diff)
					}
				}
			}
		})
	}
}

// TestAppendTextPairs checks every two bytes side by side, because the escape of a byte must not
// depend on its neighbor.
func TestAppendTextPairs(t *testing.T) {
	s := make([]byte, inWindow)
	for pair := range 1 << 16 {
		for i := range s {
			s[i] = 'x'
		}
		s[pair%61], s[pair%61+1] = byte(pair>>8), byte(pair)
		var want []byte
		for _, c := range s {
			want = append(want, cmp.Or(escapes[c].text(), string([]byte{c}))...)
		}
		if got := AppendText(nil, s); !bytes.Equal(got, want) {
			t.Fatalf("%q: got %q", s, got)
		}
	}
}

func TestAppendTextLargestBlocks(t *testing.T) {
	s := bytes.Repeat([]byte{1}, 1000)
	if got, want := string(AppendText(nil, s)), strings.Repeat(`\u0001`, 1000); got != want {
		t.Errorf("got %q", got)
	}
}

func TestAppendTextGrowsLittle(t *testing.T) {
	s := lines(64<<10, 100)
	out := AppendText(nil, s)
	if limit := len(s) * 3 / 2; cap(out) > limit {
		t.Errorf("capacity %d for %d bytes, want at most %d", cap(out), len(s), limit)
	}
}

func TestAppendReplaced(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
		replaced       int
	}{
		{"valid", "é\n", `é\n`, 0},
		{"one byte", "a\xffb", "a\ufffdb", 1},
		{"each byte of a cut character", "\xe2\x82", "\ufffd\ufffd", 2},
		{"surrogate", "\xed\xa0\x80", "\ufffd\ufffd\ufffd", 3},
		{"overlong", "\xc0\xaf", "\ufffd\ufffd", 2},
		{"U+FFFD itself", "\ufffd\xff", "\ufffd\ufffd", 1},
		{"before an escape", "\xc3\n", "\ufffd" + `\n`, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, replaced := AppendReplaced(nil, []byte(tc.in))
			if string(got) != tc.want || replaced != tc.replaced {
				t.Errorf("got %q with %d replaced, want %q with %d", got, replaced, tc.want, tc.replaced)
			}
		})
	}
}

func TestUnescapeText(t *testing.T) {
	cases := append(textCases[:len(textCases):len(textCases)], []struct{ name, text, json string }{
		{"solidus", "//", `/\/`},
		{"hex in both cases", "\u00e9\u00e9", `\u00e9\u00E9`},
		{"surrogate pair", "\U0001f600", `\ud83d\uDE00`},
		{"lone high surrogate", "\ufffd", `\ud83d`},
		{"lone low surrogate", "\ufffdx", `\ude00x`},
		{"high, then no low", "\ufffdA", `\ud83d\u0041`},
		{"high, then a pair", "\ufffd\U0001f600", `\ud83d\ud83d\ude00`},
		{"high, then an escape", "\ufffd\n", `\ud83d\n`},
		{"many", strings.Repeat("a\n", 200), strings.Repeat(`a\n`, 200)},
		{"not UTF-8", "\xff", "\xff"},
	}...)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			for at := range 3 * blockBytes {
				pad := strings.Repeat("x", at)
				for _, tail := range []string{"", strings.Repeat("y", 2*blockBytes)} {
					checkUnescape(t, pad+tc.json+tail, pad+tc.text+tail)
				}
			}
		})
	}
}

// checkUnescape decodes text both in place and not.
func checkUnescape(t *testing.T, text, want string) {
	t.Helper()
	const rest = `,"next":[1]}`
	src := []byte(text + `"` + rest)
	for _, dst := range [][]byte{nil, []byte("dst"), src[:0]} {
		got, left, err := UnescapeText(dst, src)
		if err != nil || string(got) != string(dst)+want || string(left) != rest {
			t.Fatalf("UnescapeText(%q, %q) = %q, %q, %v, want %q", dst, text, got, left, err, want)
		}
	}
}

func TestUnescapeTextErrors(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       error
	}{
		{"empty", ``, errUnterminated},
		{"no closing quote", `abc`, errUnterminated},
		{"escaped closing quote", `abc\"`, errUnterminated},
		{"newline", "a\nb\"", errControl},
		{"zero byte", "\x00\"", errControl},
		{"unknown escape", `\x41"`, errEscape},
		{"bare backslash", `\`, errEscape},
		{"short hex", `\u12"`, errEscape},
		{"bad hex", `\u12g4"`, errEscape},
		{"capital U", `\U1234"`, errEscape},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for at := range 3 * blockBytes {
				src := []byte(strings.Repeat("x", at) + tc.text)
				dst := []byte("dst")
				got, rest, err := UnescapeText(dst, src)
				if err != tc.want || rest != nil || string(got) != "dst" {
					t.Fatalf("at %d: got %q, %q, %v, want %v", at, got, rest, err, tc.want)
				}
				if _, err := textEnd(src); err != tc.want {
					t.Fatalf("at %d: textEnd: %v, want %v", at, err, tc.want)
				}
			}
		})
	}
}

func TestTextAllocatesNothing(t *testing.T) {
	text := append(lines(4096, 40), "é\xff"...)
	quoted := AppendQuote(nil, string(text))
	buf := make([]byte, 0, 3*len(text))
	work := make([]byte, len(quoted))
	long := string(text)
	for name, f := range map[string]func(){
		"AppendText":     func() { AppendText(buf, text[:4096]) },
		"AppendReplaced": func() { AppendReplaced(buf, text) },
		"AppendQuote":    func() { AppendQuote(buf, long) },
		"UnescapeText":   func() { UnescapeText(buf, quoted[1:]) },
		"in place":       func() { copy(work, quoted); UnescapeText(work[1:1], work[1:]) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzAppendText(f *testing.F) {
	for _, tc := range textCases {
		f.Add([]byte(tc.text))
		f.Add([]byte(strings.Repeat(tc.text+"xyz", 30)))
	}
	f.Add([]byte("a\xffb\xe2\x82"))
	for n := range 2*blockBytes + 2 { // the first byte that is not ASCII at each place of a block
		f.Add([]byte(strings.Repeat("x", n) + "é\xff"))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		want, invalid := replaceEach(s)
		got, replaced := AppendReplaced(nil, s)
		if replaced != invalid {
			t.Errorf("%d replaced, want %d", replaced, invalid)
		}
		if utf8.Valid(s) {
			if text := AppendText(nil, s); !bytes.Equal(text, got) {
				t.Errorf("AppendText gives %q, AppendReplaced %q", text, got)
			}
		}
		var back string
		if err := json.Unmarshal(fmt.Appendf(nil, `"%s"`, got), &back); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if back != want {
			t.Errorf("%q came back as %q", s, back)
		}
		checkUnescape(t, string(got), want)
	})
}

// replaceEach is the reference: like [strings.ToValidUTF8], but one U+FFFD a byte and not one a
// run.
func replaceEach(s []byte) (text string, replaced int) {
	var b strings.Builder
	for i, r := range string(s) {
		b.WriteRune(r)
		if _, size := utf8.DecodeRune(s[i:]); r == utf8.RuneError && size == 1 {
			replaced++
		}
	}
	return b.String(), replaced
}

func FuzzUnescapeText(f *testing.F) {
	for _, tc := range textCases {
		f.Add([]byte(tc.json + `"rest`))
		f.Add([]byte(strings.Repeat(tc.json+`\u00e9`, 30) + `"rest`))
	}
	f.Add([]byte(`\ud83d\ude00\ud83d"`))
	f.Add([]byte(`\u12"`))
	f.Fuzz(func(t *testing.T, src []byte) {
		out, rest, err := UnescapeText(nil, src)
		n, endErr := textEnd(src)
		if err != endErr || err == nil && n != len(src)-len(rest) {
			t.Errorf("UnescapeText: %v, textEnd: %d, %v", err, n, endErr)
		}
		end := len(src) - len(rest)
		var want string
		wantErr := json.Unmarshal(fmt.Appendf(nil, `"%s`, src[:end]), &want)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: error %v, want %v", src, err, wantErr)
		}
		if err != nil {
			return
		}
		if got, _ := replaceEach(out); got != want {
			t.Errorf("%q decodes to %q, want %q", src, got, want)
		}
		inPlace, left, err := UnescapeText(src[:0], src)
		if err != nil || !bytes.Equal(inPlace, out) || len(left) != len(rest) {
			t.Errorf("in place: %q, %q, %v", inPlace, left, err)
		}
	})
}

// lines is n bytes of text in lines of the given length, newline counted.
func lines(n, length int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(' ' + random.IntN(95))
		if b[i] == '"' || b[i] == '\\' {
			b[i] = 'x'
		}
		if i%length == length-1 {
			b[i] = '\n'
		}
	}
	return b
}

// benchmarkTexts are the inputs that throughput is measured on, each as large as a notification.
func benchmarkTexts() map[string][]byte {
	const size = 64 << 10
	mixed := make([]byte, 0, size)
	random := rand.New(rand.NewPCG(3, 4))
	for source := lines(size, size+1); len(mixed) < size; {
		n := min(random.IntN(80), size-len(mixed)-1)
		mixed = append(append(mixed, source[:n]...), '\n')
	}
	record := `{"level":"info","msg":"request done","status":200,"path":"/v1/items"}` + "\n"
	return map[string][]byte{
		"lines of 100":       lines(size, 100),
		"lines of 9":         lines(size, 9),
		"lines of 1 to 80":   mixed,
		"lines of JSON":      []byte(strings.Repeat(record, size/len(record))),
		"one string of 24 B": []byte("/home/someone/run-it.sh\n"),
	}
}

// ratio measures f, and reports how many times as fast it is as reference.
func ratio(b *testing.B, bytes int, f, reference func()) {
	b.SetBytes(int64(bytes))
	for b.Loop() {
		f()
	}
	took := b.Elapsed() / time.Duration(b.N)
	runs := 1 + int(100*time.Millisecond/(1+5*took))
	start := time.Now()
	for range runs {
		reference()
	}
	b.ReportMetric(float64(time.Since(start))/float64(runs)/(float64(b.Elapsed())/float64(b.N)), "x-encoding/json")
}

func BenchmarkAppendText(b *testing.B) {
	for name, text := range benchmarkTexts() {
		b.Run(name, func(b *testing.B) {
			buf := AppendText(nil, text)
			s := string(text)
			ratio(b, len(text),
				func() { buf = AppendText(buf[:0], text) },
				func() { json.Marshal(s) })
		})
	}
}

func BenchmarkAppendReplaced(b *testing.B) {
	binary := make([]byte, 64<<10)
	random := rand.New(rand.NewPCG(5, 6))
	for i := range binary {
		binary[i] = byte(random.Uint32())
	}
	for name, text := range map[string][]byte{"lines of 100": lines(64<<10, 100), "random bytes": binary} {
		b.Run(name, func(b *testing.B) {
			buf := AppendText(nil, text)
			s := string(text)
			ratio(b, len(text),
				func() { buf, _ = AppendReplaced(buf[:0], text) },
				func() { json.Marshal(s) })
		})
	}
}

func BenchmarkUnescapeText(b *testing.B) {
	for name, text := range benchmarkTexts() {
		quoted := AppendQuote(nil, string(text))
		b.Run(name, func(b *testing.B) {
			var buf []byte
			ratio(b, len(text),
				func() { buf, _, _ = UnescapeText(buf[:0], quoted[1:]) },
				func() { var s string; json.Unmarshal(quoted, &s) })
		})
		b.Run(name+" in place", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			work := make([]byte, len(quoted))
			for b.Loop() {
				copy(work, quoted) // counted, at memory speed
				UnescapeText(work[1:1], work[1:])
			}
		})
	}
}
