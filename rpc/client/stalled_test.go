package client

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
)

// quickPings is the first message of a server from which the client's receive timeout is a second.
const quickPings = `{"jsonrpc":"2.0","method":"connected","params":{"connection_id":"c","limits":{"ping_interval":0.1}}}`

// serveFunc serves WebSocket connections by f and returns the URL. They are closed at the end of
// the test.
func serveFunc(t *testing.T, f func(ctx context.Context, ws *websocket.Conn)) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	srv := httptest.NewServer(handler(ctx, f))
	t.Cleanup(func() { stop(); srv.Close() })
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

func handler(ctx context.Context, f func(ctx context.Context, ws *websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(-1)
		f(ctx, ws)
	}
}

func send(ctx context.Context, ws *websocket.Conn, text string) {
	_ = ws.Write(ctx, websocket.MessageText, []byte(text))
}

func dial(t *testing.T, url string, o Options) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	c, err := Dial(ctx, url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { within(t, "Abort", c.Abort) })
	return c
}

// requests records the requests that a server receives, by method and the name in their params.
type requests struct {
	mu    sync.Mutex
	names map[string]bool
}

// read reads requests and replies to them. It fails the test if a message is not valid JSON.
func (r *requests) read(t *testing.T, ctx context.Context, ws *websocket.Conn) {
	for {
		_, b, err := ws.Read(ctx)
		if err != nil {
			return
		}
		var m struct {
			ID     string
			Method string
			Params struct{ Name, ID string }
		}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Errorf("%v: %.80q", err, b)
			return
		}
		r.mu.Lock()
		r.names[m.Method+" "+m.Params.Name] = true
		r.mu.Unlock()
		if m.ID != "" {
			send(ctx, ws, `{"jsonrpc":"2.0","id":"`+m.ID+`","result":{}}`)
		}
	}
}

type request struct {
	Name string `json:"name"`
	Fill string `json:"fill"`
}

// stallingConn is a connection that, once stalled, accepts half of a write and blocks until it is
// resumed.
type stallingConn struct {
	net.Conn
	stalled atomic.Bool
	resumed chan struct{}
}

func (g *stallingConn) Write(b []byte) (int, error) {
	n := 0
	if g.stalled.Load() {
		n, _ = g.Conn.Write(b[:len(b)/2])
		<-g.resumed
	}
	rest, err := g.Conn.Write(b[n:])
	return n + rest, err
}

// fillQueue sends notifications until the queue of a stalled connection is full. Stop cancels those
// that are not sent.
func fillQueue(t *testing.T, c *Client) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	stop = func() { cancel(); wg.Wait() }
	for range 9 {
		wg.Go(func() {
			_ = c.Notify(ctx, "queued", request{"notify", strings.Repeat("x", maxQueued/8)})
		})
	}
	o := c.conn.outbox
	full := func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.size >= maxQueued
	}
	if !poll(full) {
		stop()
		t.Fatal("the queue is not full")
	}
	return stop
}

// TestCallEndsWithItsContext: a call returns when its context ends, even if the connection accepts
// no bytes. The connection stays usable: a request of which a part was written is sent completely,
// the others are not sent.
func TestCallEndsWithItsContext(t *testing.T) {
	got := requests{names: make(map[string]bool)}
	url := serveFunc(t, func(ctx context.Context, ws *websocket.Conn) {
		send(ctx, ws, connected)
		got.read(t, ctx, ws)
	})
	stalling := &stallingConn{resumed: make(chan struct{})}
	c := dial(t, url, Options{Dial: func(ctx context.Context) (conn net.Conn, err error) {
		var d net.Dialer
		stalling.Conn, err = d.DialContext(ctx, "tcp", strings.TrimPrefix(url, "ws://"))
		return stalling, err
	}})
	stalling.stalled.Store(true)
	call := func(f func(context.Context) error) {
		t.Helper()
		within(t, "call on a stalled connection", func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := f(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
	begun := func(ctx context.Context) error { return c.Call(ctx, "begun", request{Name: "call"}, nil) }
	late := func(ctx context.Context) error { return c.Call(ctx, "late", request{Name: "call"}, nil) }
	call(begun)
	call(late) // is queued
	defer fillQueue(t, c)()
	call(late)
	call(func(ctx context.Context) error { return c.CallIdempotent(ctx, "late", request{Name: "again"}, nil) })
	call(func(ctx context.Context) error { return c.Notify(ctx, "late", request{Name: "notify"}) })
	call(func(ctx context.Context) error {
		_, err := c.Execute(ctx, rpc.ExecuteParams{Command: rpc.Command{Shell: "x"}}, Events{})
		return err
	})
	close(stalling.resumed)
	if err := c.Call(t.Context(), "last", request{Name: "call"}, nil); err != nil {
		t.Fatal("the connection is not usable:", err)
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	want := "map[$/cancelRequest :true begun call:true cancel :true last call:true queued notify:true]"
	if fmt.Sprint(got.names) != want {
		t.Errorf("received %v, want %s", got.names, want)
	}
}

// TestReceiveTimeout: the connection to a server that sends nothing is closed, and a client with
// Reconnect makes another one.
func TestReceiveTimeout(t *testing.T) {
	for _, reconnects := range []bool{false, true} {
		name := map[bool]string{false: "ends", true: "reconnects"}[reconnects]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			url := serveFunc(t, func(ctx context.Context, ws *websocket.Conn) {
				if connections.Add(1) == 1 {
					send(ctx, ws, quickPings)
					<-ctx.Done()
				}
				send(ctx, ws, connected)
				(&requests{names: make(map[string]bool)}).read(t, ctx, ws)
			})
			o, why := Options{}, make(chan error, 9)
			if reconnects {
				o.Reconnect = &Reconnect{Dropped: func(err error) { why <- err }}
			}
			c := dial(t, url, o)
			within(t, "call", func() {
				err := c.CallIdempotent(t.Context(), "status", nil, nil)
				if reconnects {
					if err != nil {
						t.Error(err)
					}
					err = <-why
				} else if !errors.Is(err, ErrClosed) {
					t.Errorf("got %v", err)
				}
				var timeout *TimeoutError
				if !errors.As(err, &timeout) || timeout.After != minReceiveTimeout || timeout.Sending {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// slowListener is a listener whose connections, once slow is set, send single bytes with delays.
type slowListener struct {
	net.Listener
	slow atomic.Bool
}

func (l *slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &slowConn{c, l}, err
}

type slowConn struct {
	net.Conn
	l *slowListener
}

func (c *slowConn) Write(b []byte) (int, error) {
	if !c.l.slow.Load() {
		return c.Conn.Write(b)
	}
	for i := range b {
		time.Sleep(2 * minReceiveTimeout / time.Duration(len(b))) // the slow transfer is what is tested
		if _, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// TestSlowMessageIsNoTimeout: a message that takes longer than the receive timeout does not end the
// connection, since parts of it are received.
func TestSlowMessageIsNoTimeout(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(nil)
	l := &slowListener{Listener: srv.Listener}
	srv.Listener = l
	srv.Config.Handler = handler(t.Context(), func(ctx context.Context, ws *websocket.Conn) {
		send(ctx, ws, quickPings)
		l.slow.Store(true)
		(&requests{names: make(map[string]bool)}).read(t, ctx, ws)
	})
	srv.Start()
	t.Cleanup(srv.Close)
	c := dial(t, "ws"+strings.TrimPrefix(srv.URL, "http"), Options{})
	begin := time.Now()
	if err := c.Call(t.Context(), "status", nil, nil); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took < 3*minReceiveTimeout/2 {
		t.Errorf("the reply took %v, too short to test the timeout", took)
	}
}

// TestBlockedCallbackIsNoTimeout: the time in which a callback blocks the goroutine that reads does
// not count.
func TestBlockedCallbackIsNoTimeout(t *testing.T) {
	t.Parallel()
	output := `{"jsonrpc":"2.0","method":"process.output","params":{"session_id":"` + session1 + `","seq":2,"type":"stdout","data":"x"}}`
	record := `{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":"` + session1 + `","seq":3,"exit_code":0}}`
	url := serveFunc(t, func(ctx context.Context, ws *websocket.Conn) {
		send(ctx, ws, quickPings)
		_, b, err := ws.Read(ctx)
		if err != nil {
			return
		}
		_, id, _ := strings.Cut(string(b), `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		send(ctx, ws, `{"jsonrpc":"2.0","id":"`+id+`","result":{}}`)
		send(ctx, ws, output)
		time.Sleep(5 * minReceiveTimeout / 2) // longer than the timeout; the client's callback blocks meanwhile
		send(ctx, ws, record)
		_, _, _ = ws.Read(ctx)
	})
	c := dial(t, url, Options{})
	p := rpc.ExecuteParams{SessionID: session1, Command: rpc.Command{Shell: "x"}}
	block := func(*Output) { time.Sleep(2 * minReceiveTimeout) } // longer than the timeout
	s, err := c.Execute(t.Context(), p, Events{Output: block})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the record", func() {
		if _, err := s.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestTLS: a connection over wss:// carries messages, and has the same receive timeout and checks
// the certificate.
func TestTLS(t *testing.T) {
	var second atomic.Bool
	srv := httptest.NewTLSServer(handler(t.Context(), func(ctx context.Context, ws *websocket.Conn) {
		send(ctx, ws, quickPings)
		if !second.Swap(true) {
			(&requests{names: make(map[string]bool)}).read(t, ctx, ws)
		}
		<-ctx.Done()
	}))
	t.Cleanup(srv.CloseClientConnections)
	file := filepath.Join(t.TempDir(), "cert")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file)
	url := "wss" + strings.TrimPrefix(srv.URL, "https")
	c := dial(t, url, Options{})
	if err := c.Call(t.Context(), "status", request{Fill: strings.Repeat("x", 200_000)}, nil); err != nil {
		t.Fatal(err)
	}
	within(t, "the receive timeout", func() {
		<-c.Done()
		var timeout *TimeoutError
		if err := c.closedError(); !errors.As(err, &timeout) {
			t.Errorf("got %v", err)
		}
	})
	_, err := Dial(t.Context(), strings.Replace(url, "127.0.0.1", "localhost", 1), Options{})
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("certificate for another name: error %v", err)
	}
}
