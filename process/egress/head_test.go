package egress

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRequestHeads(t *testing.T) {
	const line = "GET http://a/ HTTP/1.1\r\n"
	for head, want := range map[string]error{
		line + "\r\n": nil, line + "A: b\r\nB:\r\nC: \t x \r\n\r\n": nil,
		line + "Content-Length: 1\r\n\r\n": nil, line + "Transfer-Encoding: Chunked \r\n\r\n": nil,

		line + "A: b\n\r\n": errLine, "GET http://a/ HTTP/1.1\n\n": errLine, line + "A: b\rB: c\r\n\r\n": errLine, line + "\n": errLine,
		line + "A : b\r\n\r\n": errField, line + " A: b\r\n\r\n": errField, line + "A: b\r\n folded\r\n\r\n": errField,
		line + "A\r\n\r\n": errField, line + ": b\r\n\r\n": errField, line + "A: b\x00c\r\n\r\n": errField, line + "Ä: b\r\n\r\n": errField,
		line + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n":                   errLength,
		line + "Content-Length: 1\r\ntransfer-encoding: chunked\r\n\r\n":          errLength,
		line + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n": errLength,
		line + "Transfer-Encoding: gzip, chunked\r\n\r\n":                         errEncoding,
		line + "Transfer-Encoding: xchunked\r\n\r\n":                              errEncoding,
		line + "Transfer-Encoding: \x0bchunked\r\n\r\n":                           errField,
		"POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n":           errEncoding,
		line + "Host: a\r\nhost: b\r\n\r\n":                                       errHosts,
		"\r\n" + line + "\r\n":                                                    nil, // http.ReadRequest refuses it
	} {
		got, err := peekHead(bufio.NewReaderSize(strings.NewReader(head), headBytes))
		if err != nil {
			t.Errorf("%q: %v", head, err)
			continue
		}
		if err := checkRequestHead(got); err != want {
			t.Errorf("%q: %v, not %v", head, err, want)
		}
	}
}

func TestHeadTooLong(t *testing.T) {
	for size, want := range map[int]error{headBytes: nil, headBytes + 1: errHeadTooLong} {
		head := "GET http://a/ HTTP/1.1\r\nA: " + strings.Repeat("a", size-31) + "\r\n\r\n"
		if len(head) != size {
			t.Fatal(len(head))
		}
		if _, err := peekHead(bufio.NewReaderSize(strings.NewReader(head), headBytes)); err != want {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// FuzzRequestHead checks that a head that is accepted ends where http.ReadRequest sees its end, and
// that what is written is one request with the host of the URL.
func FuzzRequestHead(f *testing.F) {
	for _, s := range []string{
		"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\nx", "POST http://a:1/ HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
		"POST http://a/%2f?x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: x\r\nX: y\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"OPTIONS http://a HTTP/1.0\r\nUpgrade: h2c\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(data), headBytes)
		head, err := peekHead(r)
		if err != nil || checkRequestHead(head) != nil {
			return
		}
		rest := len(data) - len(head)
		req, err := http.ReadRequest(r)
		if err != nil || req.Method == http.MethodConnect {
			return
		}
		if left, _ := r.Peek(r.Buffered()); len(data) < headBytes && len(left) != rest {
			t.Fatalf("%q: %d bytes are left, not %d", data, len(left), rest)
		}
		target, err := urlTarget(req.URL)
		if err != nil {
			return
		}
		e := exchange{req: req, link: &link{target: target}}
		var out bytes.Buffer
		if err := e.request().write(&out); err != nil {
			return // of the body
		}
		checkWritten(t, out.Bytes(), target)
	})
}

func checkWritten(t *testing.T, text []byte, target target) {
	r := bufio.NewReader(bytes.NewReader(text))
	written, err := http.ReadRequest(r)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if _, err := io.Copy(io.Discard, written.Body); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if r.Buffered() > 0 {
		t.Fatalf("%q has something after the request", text)
	}
	if got, err := parseTarget(written.Host, 80); err != nil || got != target {
		t.Fatalf("%q has host %q, not %q", text, written.Host, target)
	}
	for _, name := range []string{"Upgrade", "Connection", "Proxy-Authorization"} {
		if written.Header[name] != nil {
			t.Fatalf("%q has %s", text, name)
		}
	}
}
