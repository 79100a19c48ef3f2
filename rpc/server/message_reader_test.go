package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// clientFrame is a masked frame, with the length in the shortest form.
func clientFrame(first byte, payload []byte, key [4]byte) []byte {
	f := []byte{first}
	switch n := len(payload); {
	case n < length16:
		f = append(f, maskBit|byte(n))
	case n <= 0xffff:
		f = binary.BigEndian.AppendUint16(append(f, maskBit|length16), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, maskBit|length64), uint64(n))
	}
	f = append(f, key[:]...)
	for i, c := range payload {
		f = append(f, c^key[i%4])
	}
	return f
}

// errCut ends a connection. It is not io.EOF, which the library takes for the end of a message.
var errCut = errors.New("cut")

// parts is a connection that delivers bytes in reads of at most size bytes.
type parts struct {
	net.Conn
	bytes []byte
	size  int
}

func (p *parts) Read(b []byte) (int, error) {
	if len(p.bytes) == 0 {
		return 0, errCut
	}
	n := copy(b[:min(len(b), p.size)], p.bytes)
	p.bytes = p.bytes[n:]
	return n, nil
}

func (p *parts) Write(b []byte) (int, error) { return len(b), nil }
func (p *parts) Close() error                { return nil }

// received is what a reader makes of the bytes that a client sends.
type received struct {
	texts []string
	pongs []string // sent, as the payloads of the pings
	pings []string // answers to pings
	code  int      // of the close frame; 0 if the connection ends without
}

func (r received) String() string {
	return fmt.Sprintf("%d texts %.200q, %q, %q, code %d", len(r.texts), r.texts, r.pongs, r.pings, r.code)
}

func (r *received) sendFrame(f []byte) bool {
	r.pongs = append(r.pongs, string(f[2:]))
	return true
}

func (r *received) pong(payload []byte) { r.pings = append(r.pings, string(payload)) }

const mostInTest = 300 << 10

// readAll reads the messages of a connection.
func readAll(c net.Conn, before []byte) (all received) {
	m := messageReader{in: newInbound(newSocket(c, time.Minute), &liveness{}, before, nil), most: mostInTest, control: &all}
	for {
		text, err := m.next()
		var closing *closeError
		if errors.As(err, &closing) {
			all.code = int(closing.code)
		}
		if err != nil {
			return all
		}
		all.texts = append(all.texts, string(text))
		part, recycle := m.handOver(text, len(text)%2 == 0)
		clear(text) // it belongs to the caller
		clear(part)
		if recycle != nil {
			recycle()
		}
	}
}

// TestMessages reads messages of all sizes at which the reader changes its way, fragmented and not,
// with control frames between the fragments, delivered in parts of all kinds of sizes.
func TestMessages(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 2, 125, 126, 127, 4095, inputBytes - 14, inputBytes - 1, inputBytes, inputBytes + 1,
		bufferStep - 1, bufferStep, bufferStep + 1, 65535, 65536, trustedBytes, trustedBytes + 1, 200_000, mostInTest}
	for _, fragments := range []int{1, 2, 3, 50} {
		var sent []byte
		var want received
		for _, size := range sizes {
			text := strings.Repeat("0123456789abcde\n", size/16+1)[:size]
			want.texts = append(want.texts, text)
			for i := range fragments {
				first := byte(opContinuation)
				if i == 0 {
					first = opText
				}
				if i == fragments-1 {
					first |= finBit
				}
				part := text[len(text)*i/fragments : len(text)*(i+1)/fragments]
				key := [4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}
				sent = append(sent, clientFrame(first, []byte(part), key)...)
				if i%3 == 0 {
					sent = append(sent, clientFrame(framePing, []byte{byte(i)}, key)...)
					sent = append(sent, clientFrame(framePong, []byte{1, byte(i)}, key)...)
					want.pongs = append(want.pongs, string([]byte{byte(i)}))
					want.pings = append(want.pings, string([]byte{1, byte(i)}))
				}
			}
		}
		sent = append(sent, clientFrame(frameClose, []byte{1000 >> 8, 1000 & 0xff, 'x'}, [4]byte{})...)
		want.code = 1000
		for _, part := range []int{1, 7, 4096, inputBytes, 1 << 20} {
			before := r.IntN(100)
			got := readAll(&parts{bytes: sent[before:], size: part}, sent[:before])
			if fmt.Sprint(got.pongs, got.pings, got.code) != fmt.Sprint(want.pongs, want.pings, want.code) || len(got.texts) != len(want.texts) {
				t.Fatalf("%d fragments in parts of %d: %v", fragments, part, got)
			}
			for i := range got.texts {
				if got.texts[i] != want.texts[i] {
					t.Errorf("%d fragments in parts of %d: text %d differs", fragments, part, i)
				}
			}
		}
	}
}

// TestMessagesFromSocket reads from a real socket, whose reads wait.
func TestMessagesFromSocket(t *testing.T) {
	writes, reads := loopback(t)
	var want []string
	go func() {
		for i := range 40 {
			text := strings.Repeat("x", i*i*200)
			f := clientFrame(frameText, []byte(text), [4]byte{1, 2, 3, byte(i)})
			half := len(f) / 2
			_, _ = writes.Write(f[:half])
			time.Sleep(time.Millisecond) // so that the reader waits in the middle of most frames
			_, _ = writes.Write(f[half:])
		}
		_ = writes.Close()
	}()
	for i := range 40 {
		want = append(want, strings.Repeat("x", i*i*200))
	}
	got := readAll(reads, nil)
	for i := range want {
		if i >= len(got.texts) || got.texts[i] != want[i] {
			t.Fatalf("message %d: %v", i, got)
		}
	}
	if len(got.texts) != len(want) || got.code != 0 {
		t.Errorf("%v", got)
	}
}

// TestIdleInputHasNoBuffer: an input that waits for the next message has returned its buffers.
func TestIdleInputHasNoBuffer(t *testing.T) {
	writes, reads := loopback(t)
	in := newInbound(newSocket(reads, time.Minute), &liveness{}, nil, nil)
	m := messageReader{in: in, most: mostInTest, control: &received{}}
	for _, size := range []int{10, 100_000} {
		_, _ = writes.Write(clientFrame(frameText, make([]byte, size), [4]byte{}))
		if _, err := m.next(); err != nil {
			t.Fatal(err)
		}
		_ = reads.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // ends the wait for the next
		if _, err := m.header(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		_ = reads.SetReadDeadline(time.Time{})
		if in.buf != nil {
			t.Errorf("after a message of %d bytes, an input that waits has a buffer", size)
		}
	}
}

// TestMemoryOfAnnouncedFrame: a header alone takes a bounded amount of memory.
func TestMemoryOfAnnouncedFrame(t *testing.T) {
	m := messageReader{most: 1 << 30, control: &received{}}
	header := binary.BigEndian.AppendUint64([]byte{frameText, maskBit | length64}, 1<<29)
	m.in = newInbound(newSocket(&parts{bytes: append(header, make([]byte, 4+1000)...), size: 1 << 20}, time.Minute), &liveness{}, nil, nil)
	h, err := m.header()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.collect(h); err != errCut {
		t.Fatal(err)
	}
	if n := cap(m.message.text); n > trustedBytes {
		t.Errorf("1000 bytes of a message take %d", n)
	}
}

// TestBuffersGrowGeometrically, so that a message of single bytes is not copied for each of them.
func TestBuffersGrowGeometrically(t *testing.T) {
	var b *messageBuffer
	grown := 0
	for range 4 << 20 {
		larger := b.grown(1)
		if larger != b {
			grown++
		}
		b = larger
		b.text = append(b.text, 'x')
	}
	if grown > 40 {
		t.Errorf("grown %d times", grown)
	}
}

// byLibrary reads the messages of a connection with the WebSocket library.
func byLibrary(t *testing.T, sent []byte) (all received) {
	w := &libraryWriter{conn: &recordingConn{parts: parts{bytes: sent, size: 1 << 20}}, header: http.Header{}}
	r := &http.Request{Method: "GET", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OnPongReceived: func(_ context.Context, payload []byte) { all.pong(payload) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(mostInTest)
	for {
		typ, r, err := ws.Reader(context.Background())
		if err == nil && typ != websocket.MessageText {
			all.code = 1003
			break
		}
		var text []byte
		if err == nil {
			text, err = io.ReadAll(r)
		}
		if err == nil && !utf8.Valid(text) {
			all.code = 1007
			break
		}
		if err != nil {
			w.conn.end(&all, err)
			break
		}
		all.texts = append(all.texts, string(text))
	}
	w.conn.pongsTo(&all)
	return all
}

// libraryWriter is the http.ResponseWriter of the library's handshake.
type libraryWriter struct {
	conn   *recordingConn
	header http.Header
}

func (w *libraryWriter) Header() http.Header         { return w.header }
func (w *libraryWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *libraryWriter) WriteHeader(int)             {}
func (w *libraryWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// recordingConn keeps the control frames that the library writes.
type recordingConn struct {
	parts
	frames []byte
}

func (c *recordingConn) Write(b []byte) (int, error) {
	c.frames = append(c.frames, b...)
	return len(b), nil
}

// end sets the code of the close frame that ends the connection after err.
func (c *recordingConn) end(all *received, err error) {
	if errors.Is(err, errCut) {
		return
	}
	all.code = int(websocket.StatusProtocolError)
	for f := c.frames; len(f) > 0; f = f[2+int(f[1]):] {
		if f[0] == frameClose {
			all.code = int(websocket.StatusNoStatusRcvd)
			if f[1] >= 2 {
				all.code = int(binary.BigEndian.Uint16(f[2:]))
			}
			if f[1] > 2 && !utf8.Valid(f[4:2+int(f[1])]) {
				all.code = int(websocket.StatusInvalidFramePayloadData)
			}
		}
	}
}

func (c *recordingConn) pongsTo(all *received) {
	for f := c.frames; len(f) > 0; f = f[2+int(f[1]):] {
		if f[0] == framePong {
			all.pongs = append(all.pongs, string(f[2:2+int(f[1])]))
		}
	}
}

// shortest reports whether all lengths are in the shortest form, which the library does not check.
func shortest(sent []byte) bool {
	for len(sent) >= 10 {
		n, header := uint64(sent[1]&lengthBits), 6
		switch n {
		case length16:
			n, header = uint64(binary.BigEndian.Uint16(sent[2:])), 8
			if n < length16 {
				return false
			}
		case length64:
			n, header = binary.BigEndian.Uint64(sent[2:]), 14
			if n <= 0xffff {
				return false
			}
		}
		if n > uint64(len(sent)) || header+int(n) > len(sent) {
			return true
		}
		sent = sent[header+int(n):]
	}
	return true
}

// FuzzFrames compares the reader with the WebSocket library, for any bytes.
func FuzzFrames(f *testing.F) {
	key := [4]byte{0x12, 0xf3, 0x80, 0xff}
	text := clientFrame(frameText, []byte(`{"jsonrpc":"2.0"}`), key)
	f.Add(text)
	for opcode := range byte(16) {
		f.Add(append(bytes.Clone(text), clientFrame(finBit|opcode, []byte("ab"), key)...))
		f.Add(append(clientFrame(opText, []byte("\xc3"), key), clientFrame(opcode, []byte("\xa9"), key)...))
		f.Add(append(clientFrame(opText, nil, key), clientFrame(finBit|opcode, make([]byte, 126), key)...))
	}
	for _, code := range []uint16{0, 999, 1000, 1004, 1005, 1006, 1011, 1014, 1015, 1016, 2999, 3000, 4999, 5000, 65535} {
		f.Add(clientFrame(frameClose, binary.BigEndian.AppendUint16(nil, code), key))
	}
	f.Add(clientFrame(frameClose, []byte{3}, key))
	f.Add(clientFrame(frameClose, nil, key))
	f.Add(clientFrame(frameClose, []byte("\x03\xe8\xff"), key))
	f.Add(clientFrame(frameText, []byte("\xff"), key))
	f.Add(clientFrame(frameText, make([]byte, 70_000), key))
	f.Add([]byte{0x81, 0x02, '{', '}'})
	f.Add([]byte{0xf1, 0x80, 0, 0, 0, 0})
	f.Add([]byte{0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4})
	f.Add([]byte{0x81, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, sent []byte) {
		sent = append(sent, make([]byte, 20)...) // completes a header that is cut short
		if !shortest(sent) {
			return
		}
		want := byLibrary(t, bytes.Clone(sent))
		for _, size := range []int{1, 5, 1 << 20} {
			got := readAll(&parts{bytes: bytes.Clone(sent), size: size}, nil)
			if want.code == 0 && got.code == int(websocket.StatusMessageTooBig) {
				got.code = 0 // the library reads up to the bound before it reports this
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("% x\n got %v\nwant %v", sent, got, want)
			}
		}
	})
}

// TestLengthsInTheShortestForm: any other is refused (§5.2).
func TestLengthsInTheShortestForm(t *testing.T) {
	for _, f := range [][]byte{
		{0x81, 0xfe, 0, 125},
		{0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff},
		{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0},
	} {
		if got := readAll(&parts{bytes: append(f, make([]byte, 70_000)...), size: 1 << 20}, nil); got.code != 1002 || len(got.texts) > 0 {
			t.Errorf("% x: %v", f, got)
		}
	}
}
