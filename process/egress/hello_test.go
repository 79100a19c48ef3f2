package egress

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"testing"
)

// makeHello returns the first record that crypto/tls sends.
func makeHello(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		tls.Client(theirs, config).Handshake()
		theirs.Close()
	}()
	head := make([]byte, recordHeader)
	if _, err := io.ReadFull(ours, head); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(ours, rest); err != nil {
		t.Fatal(err)
	}
	return append(head, rest...)
}

// parseHello gives a hello all bytes at once.
func parseHello(raw []byte) (name string, h *hello, done bool, err error) {
	h = &hello{raw: raw}
	if done, err = h.complete(); done && h.tls {
		name, err = serverName(h.message)
	}
	return name, h, done, err
}

func TestServerName(t *testing.T) {
	for want, config := range map[string]*tls.Config{
		"www.example.org": {ServerName: "www.example.org"},
		"":                {InsecureSkipVerify: true},
		"old.example.org": {ServerName: "old.example.org", MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}},
	} {
		raw := makeHello(t, config)
		name, _, done, err := parseHello(raw)
		if name != want || !done || err != nil {
			t.Errorf("%q, %t, %v, not %q", name, done, err, want)
		}
		// One byte after the other, in records of one byte each.
		h := &hello{}
		var err2 error
		for i, b := range raw[recordHeader:] {
			for _, c := range []byte{22, 3, 1, 0, 1, b} {
				if done, err2 = h.complete(); done || err2 != nil {
					t.Fatalf("byte %d: %t, %v", i, done, err2)
				}
				h.raw = append(h.raw, c)
			}
		}
		if done, err := h.complete(); !done || err != nil {
			t.Fatalf("divided: %t, %v", done, err)
		}
		if name, err := serverName(h.message); name != want || err != nil {
			t.Errorf("divided: %q, %v", name, err)
		}
	}
}

func TestOtherFirstBytes(t *testing.T) {
	for text, want := range map[string]struct{ done, tls, fails bool }{
		"":                                     {},
		"S":                                    {done: true}, // SSH, HTTP
		"\x80\x2e\x01\x03\x01":                 {done: true}, // SSL 2
		"\x16":                                 {},
		"\x16\x02\x01":                         {done: true},
		"\x16\x03":                             {tls: true},
		"\x16\x03\x01\x00\x00":                 {tls: true, fails: true}, // an empty record
		"\x15\x03\x01\x00\x02\x01\x00":         {tls: true, fails: true}, // an alert first
		"\x17\x03\x03\x00\x01\x00":             {tls: true, fails: true},
		"\x16\x03\x01\x40\x01":                 {tls: true, fails: true}, // a record that is too long
		"\x16\x03\x01\x00\x04\x02\x00\x00\x00": {tls: true, fails: true}, // ServerHello
		"\x16\x03\x01\x00\x04\x01\x00\x40\x01": {tls: true, fails: true}, // longer than maxHello
		"\x16\x03\x01\x00\x04\x01\x00\x00\x00": {done: true, tls: true, fails: true},
		"\x16\x03\x01\x00\x04\x01\x00\x10\x00\x14\x03\x01\x00\x01\x01": {tls: true, fails: true}, // another record within
	} {
		_, h, done, err := parseHello([]byte(text))
		if done != want.done || h.tls != want.tls || (err != nil) != want.fails {
			t.Errorf("%q: %t, %t, %v", text, done, h.tls, err)
		}
	}
}

// TestServerNameForms changes the extension: what servers may understand differently is refused.
func TestServerNameForms(t *testing.T) {
	extension := func(data string) string {
		return "\x00\x00" + string(binary.BigEndian.AppendUint16(nil, uint16(len(data)))) + data
	}
	const one = "\x00\x06\x00\x00\x03a.b"
	for extensions, want := range map[string]string{
		extension(one): "a.b", "\xff\x01\x00\x01\x00" + extension(one): "a.b", "\xff\x01\x00\x01\x00": "",
		extension(one) + extension(one): "!", extension(""): "!", extension("\x00\x00"): "!", extension("\x00\x03\x00\x00\x00"): "!",
		extension("\x00\x0c\x00\x00\x03a.b\x00\x00\x03c.d"): "!", extension("\x00\x06\x01\x00\x03a.b"): "!",
		extension("\x00\x07\x00\x00\x03a.b"): "!", extension(one + "x"): "!", "\x00\x00\x00\x09": "!", "\x00": "!",
	} {
		body := make([]byte, 2+32)
		body = append(body, 0, 0, 2, 0x13, 1, 1, 0)
		body = binary.BigEndian.AppendUint16(body, uint16(len(extensions)))
		body = append(body, extensions...)
		name, err := serverName(body)
		if err != nil {
			name = "!"
		}
		if name != want {
			t.Errorf("%q: %q, not %q", extensions, name, want)
		}
	}
}

// FuzzClientHello checks that the division into reads does not matter, and that crypto/tls sees the
// same name if it accepts the message.
func FuzzClientHello(f *testing.F) {
	for _, name := range []string{"a.example", ""} {
		f.Add(makeHello(f, &tls.Config{ServerName: name, InsecureSkipVerify: true}), 10)
	}
	f.Add([]byte("\x15\x03\x01\x00\x02\x01\x00"), 1)
	f.Fuzz(func(t *testing.T, data []byte, split int) {
		name, whole, done, err := parseHello(data)
		h := &hello{raw: bytes.Clone(data[:max(0, min(split, len(data)))])}
		if early, err1 := h.complete(); err1 == nil && !early {
			h.raw = append(h.raw, data[len(h.raw):]...)
			again, err2 := h.complete()
			if again != done || err2 == nil && !bytes.Equal(h.message, whole.message) {
				t.Errorf("whole %t, %v; divided %t, %v", done, err, again, err2)
			}
		}
		if !done || !whole.tls || err != nil {
			return
		}
		if seen, ok := nameSeenByTLS(data); ok && seen != name {
			t.Errorf("the name is %q, and for crypto/tls %q", name, seen)
		}
	})
}

// nameSeenByTLS returns the server name that crypto/tls finds.
func nameSeenByTLS(data []byte) (name string, ok bool) {
	server := tls.Server(readOnly{Reader: bytes.NewReader(data)}, &tls.Config{
		GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			name, ok = info.ServerName, true
			return nil, io.EOF
		},
	})
	server.Handshake()
	return name, ok
}

// readOnly is a connection that has what was sent, and swallows what is answered.
type readOnly struct {
	io.Reader
	net.Conn
}

func (c readOnly) Read(b []byte) (int, error) { return c.Reader.Read(b) }
func (readOnly) Write(b []byte) (int, error)  { return len(b), nil }
func (readOnly) Close() error                 { return nil }
