//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc/client"
)

// hostOf returns the host and port of a URL of the server.
func hostOf(url string) string {
	_, after, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(after, "/")
	return host
}

// dialWebSocket connects without the client library.
func (a *actor) dialWebSocket(ctx context.Context) (*websocket.Conn, error) {
	ws, resp, err := websocket.Dial(ctx, a.url, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + a.credential()}}, HTTPClient: a.access.httpClient(),
	})
	switch {
	case err == nil:
		ws.SetReadLimit(4 << 20)
		return ws, nil
	case resp != nil && resp.StatusCode == http.StatusServiceUnavailable:
		return nil, &client.RefusedError{Status: resp.StatusCode}
	case resp == nil && ctx.Err() == nil:
		return nil, fmt.Errorf("%w: %v", errNoConnection, err)
	}
	return nil, err
}

// upgradeRaw makes the opening handshake (RFC 6455 §4.1) on a connection over TCP, with TLS if the
// server has it.
func (a *actor) upgradeRaw(ctx context.Context) (net.Conn, *bufio.Reader, error) {
	plain, err := a.dialLink(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	l, err := a.access.secure(ctx, plain)
	if err != nil {
		plain.reset()
		return nil, nil, fmt.Errorf("%w: %v", errNoConnection, err)
	}
	_ = l.SetDeadline(time.Now().Add(soakActionTimeout))
	_, _ = fmt.Fprintf(l, "GET /ws HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", hostOf(a.url), a.credential())
	r := bufio.NewReader(l)
	resp, err := http.ReadResponse(r, nil)
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %v", errNoConnection, err)
	case resp.StatusCode != http.StatusSwitchingProtocols:
		err = &client.RefusedError{Status: resp.StatusCode}
	default:
		return l, r, nil
	}
	_ = l.Close()
	return nil, nil, err
}

// rawFrame returns a masked frame (RFC 6455 §5.2) whose first byte and length are as given. A length
// of less than 126 bytes would not be in its shortest form.
func rawFrame(first byte, length int, payload string) []byte {
	f := []byte{first, 0x80 | 126, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(f[2:], uint16(length))
	return append(f, payload...)
}

// badFrames sends what violates RFC 6455 or is no message, in a connection with a session. The
// server closes the connection.
func (a *actor) badFrames(ctx context.Context) error {
	c, r, err := a.upgradeRaw(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	id := a.newID()
	a.ledger.ask(a.key(id), "bad frames")
	execute := `{"jsonrpc":"2.0","method":"execute","params":{"session_id":"` + id + `","command":["sleep","1000"]}}`
	_, _ = c.Write(rawFrame(0x81, len(execute), execute))
	_, err = c.Write(oneOf(a,
		[]byte{0x81, 5, 'h', 'e', 'l', 'l', 'o'},               // not masked
		rawFrame(0xf1, 200, strings.Repeat("x", 200)),          // reserved bits
		rawFrame(0x83, 200, strings.Repeat("x", 200)),          // a reserved opcode
		rawFrame(0x82, 200, strings.Repeat("x", 200)),          // a binary message
		rawFrame(0x81, 200, strings.Repeat("\xff", 200)),       // not UTF-8
		rawFrame(0x80, 200, strings.Repeat("x", 200)),          // the continuation of nothing
		rawFrame(0x89, 200, strings.Repeat("x", 200)),          // a long ping
		rawFrame(0x88, 1+126, "x"+strings.Repeat("y", 126)),    // a long close
		[]byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, // a length of 63 bits
		[]byte{0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, // 4 GiB
	))
	if err != nil {
		return nil // closed already
	}
	if _, err = io.Copy(io.Discard, r); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		return fmt.Errorf("the server has not closed the connection: %w", err)
	}
	return nil
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// unauthenticated opens connections that never become WebSockets.
func (a *actor) unauthenticated(ctx context.Context) error {
	host := hostOf(a.url)
	for range 1 + a.random.IntN(20) {
		unix := a.chance(5)
		l, err := a.dialLink(ctx, unix)
		if err != nil {
			return err
		}
		to := net.Conn(l)
		if !unix && a.chance(2) { // else the server gets something else than TLS
			if to, err = a.access.secure(ctx, l); err != nil { // it has closed the connection for a newer one
				l.reset()
				continue
			}
		}
		_, _ = io.WriteString(to, oneOf(a,
			"",
			"GET /ws HTTP/1.1\r\nHost: "+host+"\r\nX: ",
			"GET /ws HTTP/1.1\r\nHost: "+host+"\r\nAuthorization: Bearer wrong\r\n\r\n",
			"GET /ws HTTP/1.1\r\nHost: rebound.example\r\nAuthorization: Bearer "+a.token+"\r\n\r\n",
			"GET /ws HTTP/1.1\r\nHost: "+host+"\r\nOrigin: https://evil.example\r\n\r\n",
			"GET /health HTTP/1.1\r\nHost: "+host+"\r\n\r\n",
			"POST /ws HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 1000000000\r\n\r\n"+strings.Repeat("x", 100_000),
			"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
			strings.Repeat("GET / HTTP/1.1\r\n", 2000),
		))
		defer l.reset()
		a.pause(5)
	}
	return nil
}
