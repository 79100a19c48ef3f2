package tty

import (
	"bytes"
	"strings"
	"testing"
)

func TestDetachKeys(t *testing.T) {
	for _, c := range []struct {
		keys, typed, forwarded string
		detached               bool
	}{
		{"~.", "~.", "", true},
		{"~.", "ls\r~.x", "ls\r", true},
		{"~.", "ls\n~.", "ls\n", true},
		{"~.", "ls ~.", "ls ~.", false},
		{"~.", "~~", "~", false},
		{"~.", "~~.", "~.", false},
		{"~.", "~~~.", "~~.", false},
		{"~.", "~a~.", "~a~.", false},
		{"~.", "~\r~.", "~\r", true},
		{"~.", ".~", ".~", false},
		{"~.", "\r~", "\r", false}, // it is held
		{"~.", "\x1b[A~.", "\x1b[A~.", false},
		{"ctrl-p,ctrl-q", "a\x10\x11b", "a", true},
		{"ctrl-p,ctrl-q", "a\x10b\x11", "a\x10b\x11", false},
		{"ctrl-p,ctrl-q", "\x10\x10\x11", "\x10", true},
		{"a,a,b", "aaab", "a", true},
		{"ctrl-]", "~.\x1d", "~.", true},
		{"ctrl-@", "a\x00", "a", true},
		{"q", "~.xq", "~.x", true},
		{"none", "~.\x10\x11", "~.\x10\x11", false},
		{"", "~.\x10\x11", "~.\x10\x11", false},
	} {
		var d DetachKeys
		if err := d.UnmarshalText([]byte(c.keys)); err != nil {
			t.Fatal(err)
		}
		for size := 1; size <= len(c.typed); size++ { // bytes of a read
			f := KeyFilter{DetachKeys: d}
			got, detached := typeIn(&f, []byte(c.typed), func() int { return size })
			if string(got) != c.forwarded || detached != c.detached {
				t.Errorf("%s: of %q in reads of %d, %q is forwarded, detached %t; want %q, %t",
					c.keys, c.typed, size, got, detached, c.forwarded, c.detached)
			}
		}
	}
}

// typeIn types keys in pieces, up to the detach keys.
func typeIn(f *KeyFilter, typed []byte, size func() int) (forwarded []byte, detached bool) {
	for len(typed) > 0 && !detached {
		n := min(size(), len(typed))
		var piece []byte
		piece, detached = f.Filter(typed[:n])
		forwarded = append(forwarded, piece...)
		typed = typed[n:]
	}
	return forwarded, detached
}

func TestDetachKeysNotation(t *testing.T) {
	for _, text := range []string{"~.", "ctrl-p,ctrl-q", "ctrl-]", "a", "ctrl-a,d", "ctrl-@", "ctrl-\\,ctrl-^,ctrl-_,ctrl-[", "~,."} {
		var d DetachKeys
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != text {
			t.Errorf("%s: %q, %v", text, d.String(), err)
		}
	}
	for _, text := range []string{"ctrl-", "ctrl-A", "ctrl-1", "ctrl-ab", "ab", "é", "a,", ",", " ", "\x10", "ctrl-p, ctrl-q", "^]",
		strings.Repeat("a,", MaxDetachKeys) + "a"} {
		var d DetachKeys
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted as %q", text, d.String())
		}
	}
}

// FuzzKeyFilter: how keys are split over reads makes no difference, nothing is lost or added, and the
// detach keys are found where a search finds them.
func FuzzKeyFilter(f *testing.F) {
	f.Add("~.", []byte("ls\r~~~.~x\r~."), []byte{1, 2})
	f.Add("ctrl-p,ctrl-q", []byte("a\x10\x10\x11b"), []byte{3})
	f.Add("a,b,a,c", []byte("ababac"), []byte{1})
	f.Fuzz(func(t *testing.T, keys string, typed, sizes []byte) {
		var d DetachKeys
		if d.UnmarshalText([]byte(keys)) != nil {
			return
		}
		split, whole := KeyFilter{DetachKeys: d}, KeyFilter{DetachKeys: d}
		i := 0
		got, detached := typeIn(&split, typed, func() int {
			if i++; len(sizes) == 0 {
				return 1
			}
			return int(sizes[i%len(sizes)]) + 1
		})
		want, wantDetached := whole.Filter(typed)
		if !bytes.Equal(got, want) || detached != wantDetached {
			t.Errorf("%q, %t in pieces; %q, %t in one", got, detached, want, wantDetached)
		}
		if d.tilde {
			want, wantDetached = withTildes(typed)
		} else if at := bytes.Index(typed, d.keys); len(d.keys) > 0 && at >= 0 {
			want, wantDetached = typed[:at], true
		} else {
			want, wantDetached = typed, false
		}
		if got = append(got, split.Rest()...); !bytes.Equal(got, want) || detached != wantDetached {
			t.Errorf("%q of %q, %t; want %q, %t", got, typed, detached, want, wantDetached)
		}
	})
}

// withTildes is a slow model of ~. and ~~: it looks at whole lines.
func withTildes(typed []byte) (forwarded []byte, detached bool) {
	for len(typed) > 0 {
		end := bytes.IndexAny(typed, "\r\n") + 1
		if end == 0 {
			end = len(typed)
		}
		line := typed[:end]
		typed = typed[end:]
		if bytes.HasPrefix(line, []byte("~.")) {
			return forwarded, true
		}
		if bytes.HasPrefix(line, []byte("~~")) {
			line = line[1:]
		}
		forwarded = append(forwarded, line...)
	}
	return forwarded, false
}
