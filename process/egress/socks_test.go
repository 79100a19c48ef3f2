package egress

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
)

func TestSOCKSRequests(t *testing.T) {
	for text, want := range map[string]any{
		"\x05\x01\x00\x03\x0bexample.ORG\x01\xbb":                                            "example.org:443",
		"\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50":                                           "10.0.0.1:80",
		"\x05\x01\x00\x03\x0810.0.0.1\x00\x50":                                               "10.0.0.1:80",
		"\x05\x01\x00\x04" + strings.Repeat("\x00", 15) + "\x01\x00\x50":                     "[::1]:80",
		"\x05\x01\x00\x04" + strings.Repeat("\x00", 10) + "\xff\xff\x7f\x00\x00\x01\x00\x50": "127.0.0.1:80",

		"\x05\x02\x00\x01\x0a\x00\x00\x01\x00\x50": socksError(socksNoCommand),
		"\x05\x03\x00\x03\x01a\x00\x50":            socksError(socksNoCommand),
		"\x05\x01\x00\x02\x01a\x00\x50":            socksError(socksNoAddressType),
		"\x04\x01\x00\x03\x01a\x00\x50":            socksError(socksFailure),
		"\x05\x01\x01\x03\x01a\x00\x50":            socksError(socksFailure),
		"\x05\x01\x00\x03\x01a\x00\x00":            socksError(socksFailure),
		"\x05\x01\x00\x03\x00\x00\x50":             socksError(socksFailure),
		"\x05\x01\x00\x03\x02a\n\x00\x50":          socksError(socksFailure),
		"\x05\x01\x00\x03\x05::1%e\x00\x50":        socksError(socksFailure),
		"":                                         io.EOF,
		"\x05\x01\x00\x03\x05abc":                  io.ErrUnexpectedEOF,
	} {
		got, err := readSOCKSRequest(strings.NewReader(text))
		if err != nil && err != want || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v, not %v", text, got, err, want)
		}
	}
}

func FuzzSOCKS(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x03\x0bexample.org\x01\xbb"))
	f.Add([]byte("\x05\x02\x02\x00\x05\x01\x00\x04aaaabbbbccccdddd\x01\xbbmore"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		if readSOCKSMethods(r) != nil {
			return
		}
		got, err := readSOCKSRequest(r)
		if err != nil {
			return
		}
		if again, err := parseTarget(got.String(), 0); err != nil || again != got {
			t.Errorf("%q is %v, which is %v, %v", data, got, again, err)
		}
	})
}

// converse sends what begins with ">" and expects what begins with "<".
func converse(t *testing.T, conn net.Conn, steps ...string) {
	t.Helper()
	for i, step := range steps {
		if text, ok := strings.CutPrefix(step, ">"); ok {
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want := step[1:]
		got := make([]byte, len(want))
		n, err := io.ReadFull(conn, got)
		if err != nil || string(got) != want {
			t.Fatalf("step %d: %q, %v, not %q", i, got[:n], err, want)
		}
	}
}

func expectEnd(t *testing.T, conn net.Conn) {
	t.Helper()
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		t.Fatalf("%q and %v instead of the end", rest, err)
	}
}

func TestSOCKSReplies(t *testing.T) {
	checkLeaks(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	w := newWorld(t, "127.0.0.1:"+portOf(free.Addr().String()), "nowhere.example:1", "inner.example:1")
	w.resolver.hosts["inner.example"] = []string{"127.0.0.1"}
	port := uint16(free.Addr().(*net.TCPAddr).Port)
	zeros := "\x00\x01\x00\x00\x00\x00\x00\x00"
	for request, code := range map[string]string{
		"\x05\x01\x00\x01\x7f\x00\x00\x01" + string([]byte{byte(port >> 8), byte(port)}): "\x05",
		"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x01":                                       "\x02",
		"\x05\x01\x00\x03\x0dother.example\x00\x01":                                      "\x02",
		"\x05\x01\x00\x03\x0dinner.example\x00\x01":                                      "\x02",
		"\x05\x01\x00\x03\x0fnowhere.example\x00\x01":                                    "\x04",
		"\x05\x02\x00\x03\x0fnowhere.example\x00\x01":                                    "\x07",
	} {
		conn := w.dial(t)
		converse(t, conn, ">\x05\x01\x00", "<\x05\x00", ">"+request, "<\x05"+code+zeros)
		expectEnd(t, conn)
	}
	conn := w.dial(t)
	converse(t, conn, ">\x05\x01\x02", "<\x05\xff")
	expectEnd(t, conn)
}
