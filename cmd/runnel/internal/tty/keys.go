package tty

import (
	"bytes"
	"fmt"
	"strings"
)

// MaxDetachKeys is the number of keys that --detach-keys may have.
const MaxDetachKeys = 16

// TildeDot is the value of --detach-keys for the escapes of ssh(1).
const TildeDot = "~."

// DetachKeys are the keys that leave a session on a terminal. The zero value has none.
type DetachKeys struct {
	tilde bool   // "~." at the beginning of a line
	keys  []byte // otherwise: the bytes that the keys send, one for each
}

// UnmarshalText parses "~.", keys that are separated by commas, such as "ctrl-p,ctrl-q" or "ctrl-a,d",
// and "none" or "" for no keys.
func (d *DetachKeys) UnmarshalText(text []byte) error {
	*d = DetachKeys{}
	switch value := string(text); value {
	case TildeDot:
		d.tilde = true
		return nil
	case "", "none":
		return nil
	default:
		return d.parseKeys(value)
	}
}

func (d *DetachKeys) parseKeys(value string) error {
	for name := range strings.SplitSeq(value, ",") {
		key, ok := parseKey(name)
		switch {
		case !ok:
			return fmt.Errorf("%q is not a key: must be one ASCII character, or ctrl- and one of a-z, @, [, \\, ], ^, _", name)
		case len(d.keys) == MaxDetachKeys:
			return fmt.Errorf("at most %d keys are allowed", MaxDetachKeys)
		}
		d.keys = append(d.keys, key)
	}
	return nil
}

// parseKey returns the byte that a key sends.
func parseKey(name string) (byte, bool) {
	if c, ok := strings.CutPrefix(name, "ctrl-"); ok {
		if len(c) != 1 || !strings.Contains(`abcdefghijklmnopqrstuvwxyz@[\]^_`, c) {
			return 0, false
		}
		return c[0] & 0x1f, true
	}
	if len(name) != 1 || name[0] <= ' ' || name[0] > '~' {
		return 0, false
	}
	return name[0], true
}

// String returns how the keys are typed, or "" if there are none.
func (d DetachKeys) String() string {
	if d.tilde {
		return TildeDot
	}
	var names []string
	for _, key := range d.keys {
		name := string(rune(key))
		if key < ' ' {
			name = "ctrl-" + strings.ToLower(string(rune(key|0x40)))
		}
		names = append(names, name)
	}
	return strings.Join(names, ",")
}

// KeyFilter finds the detach keys in what is typed. It holds back keys that may be the beginning of
// them.
type KeyFilter struct {
	DetachKeys
	inLine bool   // with tilde: the next key is not at the beginning of a line
	held   []byte // a proper prefix of the detach keys
}

// Filter returns what is to be forwarded of the next keys, and whether the detach keys were typed;
// what follows them is dropped.
func (f *KeyFilter) Filter(typed []byte) (forward []byte, detach bool) {
	forward = make([]byte, 0, len(f.held)+len(typed))
	for _, key := range typed {
		if f.tilde {
			forward, detach = f.tildeKey(forward, key)
		} else {
			forward, detach = f.sequenceKey(forward, key)
		}
		if detach {
			f.held = nil
			return forward, true
		}
	}
	return forward, false
}

// tildeKey handles a key as ssh(1) does: after a ~ at the beginning of a line, another ~ is dropped,
// and any other key is forwarded with the first.
func (f *KeyFilter) tildeKey(forward []byte, key byte) (_ []byte, detach bool) {
	switch {
	case len(f.held) == 0 && key == '~' && !f.inLine:
		f.held = append(f.held, key)
		return forward, false
	case len(f.held) > 0 && key == '.':
		return forward, true
	case len(f.held) > 0 && key == '~':
		f.held = nil
	}
	forward = append(append(forward, f.held...), key)
	f.held = nil
	f.inLine = key != '\r' && key != '\n'
	return forward, false
}

func (f *KeyFilter) sequenceKey(forward []byte, key byte) (_ []byte, detach bool) {
	if len(f.keys) == 0 {
		return append(forward, key), false
	}
	f.held = append(f.held, key)
	for !bytes.HasPrefix(f.keys, f.held) {
		forward = append(forward, f.held[0])
		f.held = f.held[1:]
	}
	return forward, len(f.held) == len(f.keys)
}

// Rest returns what is held back, at the end of the input.
func (f *KeyFilter) Rest() []byte {
	held := f.held
	f.held = nil
	return held
}
