package screen_test

import (
	"testing"
)

// sequences are short outputs, most of which write X where the cursor is at the end. The terminal has 6 rows
// of 20 columns.
var sequences = map[string]string{
	"wrap":                  "01234567890123456789X",
	"last column":           "01234567890123456789",
	"last column, then sgr": "01234567890123456789\x1b[1mX",
	"wrap, scrolled":        "01234567890123456789\x1b[T",
	"no wrap":               "\x1b[?7l0123456789012345678901X",
	"wide at the margin":    "0123456789012345678日X",
	"wide before margin":    "012345678901234567日",
	"wide, wrap":            "012345678901234567日X",
	"left half overwritten": "日本\x1b[1Gab\x1b[1Gc日\x1b[2GX",
	"combining":             "e\u0301a\u0308\u0323X",
	"combining, margin":     "0123456789012345678e\u0301",
	"combining, wide":       "日\u0301X",
	"bold red":              "\x1b[1;31mab\x1b[22mc\x1b[39md",
	"colors":                "\x1b[91ma\x1b[38;5;123mb\x1b[38;2;1;2;3mc\x1b[48;5;7md\x1b[38:5:9me\x1b[107mf",
	"attributes":            "\x1b[2ma\x1b[3mb\x1b[4mc\x1b[5md\x1b[7me\x1b[8mf\x1b[9mg\x1b[53mh",
	"underlines":            "\x1b[4:2ma\x1b[4:3mb\x1b[4:4mc\x1b[4:5md\x1b[24me\x1b[21mf",
	"underline color":       "\x1b[4;58;5;9ma\x1b[59mb",
	"erase with background": "\x1b[44mab\x1b[Kc\r\n\x1b[42m\x1b[2Kd\x1b[0m\r\n\x1b[41m\x1b[J",
	"erase to start":        "abcdef\x1b[4G\x1b[1KX",
	"erase above":           "a\r\nb\r\ncdef\x1b[2D\x1b[1JX",
	"erase below":           "a\r\nbcd\r\nc\x1b[2;2H\x1b[JX",
	"erase all":             "a\r\nbcd\x1b[2JX",
	"erase characters":      "abcdef\x1b[2G\x1b[3XX",
	"insert characters":     "abcdef\x1b[2G\x1b[3@X",
	"delete characters":     "abcdef\x1b[2G\x1b[3PX",
	"delete, background":    "01234567890123456789\x1b[44m\x1b[2G\x1b[3P",
	"insert mode":           "abc\x1b[1G\x1b[4hXY\x1b[4lZ",
	"scroll region":         "1\r\n2\r\n3\r\n4\r\n5\r\n6\x1b[2;4r\x1b[4;1H\n\nX",
	"scroll region, up":     "1\r\n2\r\n3\r\n4\r\n5\r\n6\x1b[2;4r\x1b[2;1H\x1bM\x1bMX",
	"below the region":      "\x1b[2;4r\x1b[6;1H\n\nX",
	"scroll up and down":    "1\r\n2\r\n3\r\n4\x1b[2Sa\x1b[1Tb",
	"scroll, background":    "1\r\n2\r\n3\r\n4\r\n5\r\n6\x1b[45m\n\n",
	"origin":                "1\r\n2\r\n3\r\n4\r\n5\r\n6\x1b[2;4r\x1b[?6h\x1b[1;1Ha\x1b[9;9Hb",
	"cursor moves":          "\x1b[3;5Ha\x1b[Ab\x1b[2Bc\x1b[3Dd\x1b[2Ce\x1b[Ef\x1b[Fg\x1b[9Gh\x1b[5di",
	"moves in the region":   "\x1b[2;4r\x1b[3;1H\x1b[9Aa\x1b[3;1H\x1b[9Bb\x1b[6;1H\x1b[9Ac\x1b[1;1H\x1b[9Bd",
	"tabs":                  "a\tb\tc\td\r\n\x1b[3g\x1b[5G\x1bH\x1b[9G\x1bH\r\t1\t2\t3\x1b[Z\x1b[Zx",
	"tab clear":             "\x1b[9G\x1b[g\r\tX",
	"save and restore":      "\x1b[3;4H\x1b[1;32m\x1b7\x1b[1;1H\x1b[0ma\x1b8X",
	"restore without save":  "\x1b[3;4H\x1b8X",
	"saved, not restored":   "\x1b[3;4H\x1b[1;32m\x1b7\x1b[1;1H\x1b[0ma",
	"alternate":             "primary\x1b[?1049halt",
	"alternate and back":    "primary\x1b[1m\x1b[?1049h\x1b[0;31malt\x1b[4;4H\x1b[?1049lX",
	"alternate 47":          "primary\x1b[?47halt\x1b[?47lX",
	"alternate 1047":        "primary\x1b[?1047halt",
	"graphics":              "\x1b(0lqk\x1b(B \x1b)0\x0elqk\x0f lqk",
	"graphics, on":          "\x1b(0lqk",
	"graphics G1, on":       "\x1b)0\x0elqk",
	"repeat":                "a\x1b[5bX",
	"align":                 "\x1b#8X",
	"reset":                 "\x1b[1;31mab\x1b[?1h\x1b[?25l\x1bcX",
	"modes":                 "\x1b[?1h\x1b=\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?1004h",
	"mouse":                 "\x1b[?1000h\x1b[?1003h\x1b[?1005h",
	"mouse off":             "\x1b[?1002h\x1b[?1002l",
	"title":                 "\x1b]2;a title é\x07X",
	"title, st":             "\x1b]0;other\x1b\\X",
	"unfinished title":      "a\x1b]2;unfinished",
	"unfinished control":    "a\x1b[1;3",
	"unfinished, newline":   "a\x1b[1;3\n",
	"canceled":              "a\x1b[3\x18b\x1b[3\x1ac",
	"control in control":    "abc\x1b[\r2CX",
	"queries":               "a\x1b[6n\x1b[c\x1b[>c\x1b[?1$pX",
	"backspace":             "abc\b\bX",
	"nel and ind":           "ab\x1bEc\x1bDd",
	"shape":                 "\x1b[4 qX",
	"index at the bottom":   "\x1b[6;1Ha\x1bDb\x1bDc",
}

// equivalents are sequences for which tmux differs from xterm, and others that show what xterm shows.
var equivalents = map[string]string{
	"日本\x1b[2GX":                                     "\x1b[2GX本\x1b[3G",
	"日本語\x1b[2G\x1b[2X\x1b[6;1HX":                    "\x1b[5G語\x1b[6;1HX",
	"0123456789012345678\x1b[18G\x1b[9@X":            "01234567890123456X",
	"日本語日本語日本語日\x1b[2G\x1b[1@X":                      "\x1b[2GX\x1b[4G本語日本語日本語\x1b[3G",
	"1\r\n2\r\n3\r\n4\r\n5\r\n6\x1b[2;3H\x1b[2LX":    "1\r\nX\r\n\r\n2\r\n3\r\n4\x1b[2;2H",
	"1\r\n2\r\n3\r\n4\r\n5\r\n6\x1b[2;3H\x1b[2MX":    "1\r\nX\r\n5\r\n6\x1b[2;2H",
	"\x1b[1;31mab\x1b[?1h\x1b[?25l\x1b[2;3r\x1b[!pX": "\x1b[1;31mab\x1b[0m\rX",
	"a\x1bPq#0;2\x1b\\b\x1b_c\x1b\\d\x1b^e\x1b\\f":   "abdf",
	"a\x1b[20hb\nc":            "ab\r\nc",
	"a\xffb\xe6\x97c\xc0\x80X": "a\ufffdb\ufffd\ufffdc\ufffd\ufffdX",
}

const (
	sequenceRows = 6
	sequenceCols = 20
)

// The paint of each sequence makes tmux show what the sequence makes it show.
func TestSequencesAreWhatTmuxShows(t *testing.T) {
	m := newTmux(t)
	check := func(x, like string) {
		t.Helper()
		want := m.show(sequenceRows, sequenceCols, like)
		got := m.show(sequenceRows, sequenceCols, paint(t, sequenceRows, sequenceCols, x))
		if got != want {
			t.Errorf("%q\n%s", x, diff(want, got))
		}
	}
	for _, x := range sequences {
		check(x, x)
	}
	for x, like := range equivalents {
		check(x, like)
	}
}
