package tty

import (
	"strings"
	"testing"
)

func TestModesReset(t *testing.T) {
	for _, c := range []struct{ name, output, reset string }{
		{"plain text", "hello\r\n\x1b[2J\x1b[1;1Hbye \xff é\t", ""},
		{"what was undone", "\x1b[?1049h\x1b[?25l\x1b[31mx\x1b[m\x1b[?25h\x1b[?1049l\x1b=\x1b>\x1b(0q\x1b(B\x0eq\x0f\x1b[2;5r\x1b[r", ""},
		{"SGR", "\x1b[1;31mred", "\x1b[0m"},
		{"SGR with leading zeros", "\x1b[1mx\x1b[0;0m", ""},
		{"the alternate screen", "\x1b[?1049h", "\x1b[?1049l\x1b[0m"},
		{"the alternate screen of others", "\x1b[?47h\x1b[?1047h\x1b[?1049l", ""},
		{"a hidden cursor", "\x1b[?25l", "\x1b[?25h"},
		{"keys and the keypad", "\x1b[?1h\x1b=", "\x1b[?1l\x1b>"},
		{"several modes", "\x1b[?1000;1006;2004;1004h\x1b[?7l", "\x1b[?7h\x1b[?1000l\x1b[?1004l\x1b[?1006l\x1b[?2004l"},
		{"a scroll region", "\x1b[2;10r", "\x1b7\x1b[r\x1b8\x1b[?6l\x1b[0m"},
		{"an origin mode", "\x1b[?6h", "\x1b7\x1b[?6l\x1b8\x1b[?6l\x1b[0m"},
		{"a scroll region on the alternate screen", "\x1b[?1049h\x1b[2;10r", "\x1b[r\x1b[?1049l\x1b[0m"},
		{"a charset", "\x1b(0\x1b)0\x0elq", "\x1b(B\x1b)B\x0f"},
		{"insert mode", "\x1b[4h", "\x1b[4l"},
		{"the shape of the cursor", "\x1b[5 q", "\x1b[0 q"},
		{"a keyboard protocol", "\x1b[>1u\x1b[>3u\x1b[<u\x1b[>4;2m", "\x1b[<1u\x1b[>4;0m"},
		{"an unfinished string", "\x1b]0;tit", "\x1b\\"},
		{"a finished string", "\x1b]0;\x1b\\\x1bP+q\x1b\\\x1b]1;x\a", ""},
		{"sequences in a string", "\x1b]0;[?25l\a", ""},
		{"the palette", "\x1b]4;1;#102030\a", "\x1b]104\x1b\\"},
		{"a long palette", "\x1b]4" + strings.Repeat(";7;rgb:10/20/30", 99) + "\x1b\\", "\x1b]104\x1b\\"},
		{"a palette that was reset", "\x1b]4;1;#102030\a\x1b]104\a", ""},
		{"a palette that was reset in part", "\x1b]4;1;red;2;red\a\x1b]104;1\a", "\x1b]104\x1b\\"},
		{"text, background and cursor", "\x1b]10;red;blue\x1b\\\x1b]12;#fff\a", "\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\"},
		{"a background that was reset", "\x1b]11;red\a\x1b]111\a", ""},
		{"colors after a full reset", "\x1b]11;red\a\x1bc", "\x1b]111\x1b\\"},
		{"queries for colors", "\x1b]4;1;?\a\x1b]10;?;?\x1b\\\x1b]11;?\a", ""},
		{"other strings", "\x1b]8;;http://x\a\x1b]52;c;YQ==\a\x1bP10;red\x1b\\\x1b_11;red\a\x1b]2;11;red\a\x1b]119;\a\x1b]20;red\a", ""},
		{"a canceled color", "\x1b]11;red\x18", ""},
		{"an unfinished color", "\x1b]11;red", "\x1b\\\x1b]111\x1b\\"},
		{"titles that are saved", "\x1b[22;0t\x1b[22;2t\x1b]2;x\a\x1b[23;2t\x1b[22;1t\x1b[18t", "\x1b[23;0t"},
		{"titles that are restored", "\x1b[22t\x1b[23t\x1b[23t", ""},
		{"an unfinished sequence", "\x1b[?25", "\x18"},
		{"a canceled sequence", "\x1b[?25\x18l", ""},
		{"a line end in a sequence", "\x1b[?2\r5l", "\x1b[?25h"},
		{"a full reset", "\x1b[?1049h\x1b[?25l\x1bc", ""},
		{"a soft reset", "\x1b[?1000h\x1b[?25l\x1b[1m\x1b[!p", "\x1b[?1000l"},
		{"a long sequence", "\x1b[" + strings.Repeat("1;", maxSequence) + "m", ""},
	} {
		for size := 1; size < 4; size++ { // bytes of a write
			var m Modes
			for rest := c.output; rest != ""; {
				n := min(size, len(rest))
				_, _ = m.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			if got := string(m.Reset()); got != c.reset {
				t.Errorf("%s, in writes of %d: %q, want %q", c.name, size, got, c.reset)
			}
			if again := m.Reset(); len(again) > 0 {
				t.Errorf("%s: a second reset is %q", c.name, again)
			}
		}
	}
}

// FuzzModes: after the output and its reset, nothing is set.
func FuzzModes(f *testing.F) {
	f.Add([]byte("\x1b[?1049h\x1b[?25l\x1b[1m\x1b[2;10r\x1b(0\x1b]0;x"))
	f.Add([]byte("\x1b[?47h\x1b[>1u\x1b[>4;2m\x1b[4;20h\x1b[5 q\x0e\x1b[?6h\x1b["))
	f.Add([]byte("\x1b]4;1;red\x07\x1b]10;?;blue;red\x1b\\\x1b[22;0t\x1b[23t\x1b]12;#fff"))
	f.Fuzz(func(t *testing.T, output []byte) {
		var m, after Modes
		_, _ = m.Write(output)
		reset := m.Reset()
		_, _ = after.Write(output)
		_, _ = after.Write(reset)
		if left := after.Reset(); len(left) > 0 {
			t.Errorf("after %q and %q, %q is left", output, reset, left)
		}
	})
}
