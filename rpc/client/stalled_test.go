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

// quickPings is the first word of a server whose silence is told after a second.
const quickPings = `{"jsonrpc":"2.0","method":"connected","params":{"connection_id":"c","limits":{"ping_interval":0.1}}}`

// answering serves connections by f and returns its URL. Connections are closed with the test.
func answering(t *testing.T, f func(ctx context.Context, ws *websocket.Conn)) string {
	t.Helper()
	over, stop := context.WithCancel(context.Background())
	srv := httptest.NewServer(handler(over, f))
	t.Cleanup(func() { stop(); srv.Close() })
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

func handler(over context.Context, f func(ctx context.Context, ws *websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(-1)
		f(over, ws)
	}
}

func say(ctx context.Context, ws *websocket.Conn, text string) {
	_ = ws.Write(ctx, websocket.MessageText, []byte(text))
}

func dialed(t *testing.T, url string, o Options) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := Dial(ctx, url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { within(t, "Abort", c.Abort) })
	return c
}

// requests are what a stalled server reads once it is let go, by the name in their params.
type requests struct {
	mu    sync.Mutex
	names map[string]bool
}

// read reads requests and answers them, and fails for what is no whole message.
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
			say(ctx, ws, `{"jsonrpc":"2.0","id":"`+m.ID+`","result":{}}`)
		}
	}
}

type request struct {
	Name string `json:"name"`
	Fill string `json:"fill"`
}

// gated is a connection that takes half of a write and then nothing, from when it is shut until it is let go.
type gated struct {
	net.Conn
	shut  atomic.Bool
	letGo chan struct{}
}

func (g *gated) Write(b []byte) (int, error) {
	n := 0
	if g.shut.Load() {
		n, _ = g.Conn.Write(b[:len(b)/2])
		<-g.letGo
	}
	rest, err := g.Conn.Write(b[n:])
	return n + rest, err
}

// TestCallEndsWithItsContext: also one whose request the network does not take. The connection lives on: what was
// begun is sent whole, and what was not is not sent at all.
func TestCallEndsWithItsContext(t *testing.T) {
	got := requests{names: make(map[string]bool)}
	url := answering(t, func(ctx context.Context, ws *websocket.Conn) {
		say(ctx, ws, hello)
		got.read(t, ctx, ws)
	})
	gate := &gated{letGo: make(chan struct{})}
	c := dialed(t, url, Options{Dial: func(ctx context.Context) (conn net.Conn, err error) {
		var d net.Dialer
		gate.Conn, err = d.DialContext(ctx, "tcp", strings.TrimPrefix(url, "ws://"))
		return gate, err
	}})
	gate.shut.Store(true)
	call := func(f func(context.Context) error) {
		t.Helper()
		within(t, "a call on a full socket", func() {
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
	call(late) // the queue has room for it
	background, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for range 9 { // these fill the queue
		wg.Go(func() {
			_ = c.Notify(background, "queued", request{"notify", strings.Repeat("x", maxQueued/8)})
		})
	}
	o := c.link.outbox
	for queued := 0; queued < maxQueued; time.Sleep(time.Millisecond) {
		o.mu.Lock()
		queued = o.bytes
		o.mu.Unlock()
	}
	call(late)
	call(func(ctx context.Context) error { return c.CallAgain(ctx, "late", request{Name: "again"}, nil) })
	call(func(ctx context.Context) error { return c.Notify(ctx, "late", request{Name: "notify"}) })
	call(func(ctx context.Context) error {
		_, err := c.Execute(ctx, rpc.ExecuteParams{Command: rpc.Command{Shell: "x"}}, Events{})
		return err
	})
	close(gate.letGo)
	if err := c.Call(t.Context(), "last", request{Name: "call"}, nil); err != nil {
		t.Fatal("the connection is over:", err)
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	want := "map[$/cancelRequest :true begun call:true cancel :true last call:true queued notify:true]"
	if fmt.Sprint(got.names) != want {
		t.Errorf("there came %v, want %s", got.names, want)
	}
}

// TestSilentServer: the connection ends, and a client that reconnects makes another one.
func TestSilentServer(t *testing.T) {
	for _, reconnects := range []bool{false, true} {
		name := map[bool]string{false: "ends", true: "reconnects"}[reconnects]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			url := answering(t, func(ctx context.Context, ws *websocket.Conn) {
				if connections.Add(1) == 1 {
					say(ctx, ws, quickPings)
					<-ctx.Done()
				}
				say(ctx, ws, hello)
				(&requests{names: make(map[string]bool)}).read(t, ctx, ws)
			})
			o, why := Options{}, make(chan error, 9)
			if reconnects {
				o.Reconnect = &Reconnect{Dropped: func(err error) { why <- err }}
			}
			c := dialed(t, url, o)
			within(t, "a call to a silent server", func() {
				err := c.CallAgain(t.Context(), "status", nil, nil)
				if reconnects {
					if err != nil {
						t.Error(err)
					}
					err = <-why
				} else if !errors.Is(err, ErrClosed) {
					t.Errorf("got %v", err)
				}
				var silent *SilentError
				if !errors.As(err, &silent) || silent.For != minSilence || silent.Sending {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// trickling is a listener whose connections send single bytes, a few a second, once slow is set.
type trickling struct {
	net.Listener
	slow atomic.Bool
}

func (l *trickling) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &trickle{c, l}, err
}

type trickle struct {
	net.Conn
	l *trickling
}

func (c *trickle) Write(b []byte) (int, error) {
	if !c.l.slow.Load() {
		return c.Conn.Write(b)
	}
	for i := range b {
		time.Sleep(2 * minSilence / time.Duration(len(b)))
		if _, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// TestPartOfAMessageIsNoSilence: a message that takes long to arrive is a sign of life all the while.
func TestPartOfAMessageIsNoSilence(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(nil)
	l := &trickling{Listener: srv.Listener}
	srv.Listener = l
	srv.Config.Handler = handler(t.Context(), func(ctx context.Context, ws *websocket.Conn) {
		say(ctx, ws, quickPings)
		l.slow.Store(true)
		(&requests{names: make(map[string]bool)}).read(t, ctx, ws)
	})
	srv.Start()
	t.Cleanup(srv.Close)
	c := dialed(t, "ws"+strings.TrimPrefix(srv.URL, "http"), Options{})
	begin := time.Now()
	if err := c.Call(t.Context(), "status", nil, nil); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took < 3*minSilence/2 {
		t.Errorf("the answer took %v: that is no test", took)
	}
}

// TestSlowConsumerIsNoSilentServer: a callback that holds up the goroutine that reads says nothing about the server.
func TestSlowConsumerIsNoSilentServer(t *testing.T) {
	t.Parallel()
	output := `{"jsonrpc":"2.0","method":"process.output","params":{"session_id":"` + session1 + `","seq":2,"type":"stdout","data":"x"}}`
	record := `{"jsonrpc":"2.0","method":"process.completed","params":{"session_id":"` + session1 + `","seq":3,"exit_code":0}}`
	url := answering(t, func(ctx context.Context, ws *websocket.Conn) {
		say(ctx, ws, quickPings)
		_, b, err := ws.Read(ctx)
		if err != nil {
			return
		}
		_, id, _ := strings.Cut(string(b), `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		say(ctx, ws, `{"jsonrpc":"2.0","id":"`+id+`","result":{}}`)
		say(ctx, ws, output)
		time.Sleep(5 * minSilence / 2) // silent, while nobody there could hear it
		say(ctx, ws, record)
		_, _, _ = ws.Read(ctx)
	})
	c := dialed(t, url, Options{})
	p := rpc.ExecuteParams{SessionID: session1, Command: rpc.Command{Shell: "x"}}
	s, err := c.Execute(t.Context(), p, Events{Output: func(*Output) { time.Sleep(2 * minSilence) }})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "the record", func() {
		if _, err := s.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestOverTLS: wss:// is dialed, written and watched like ws://.
func TestOverTLS(t *testing.T) {
	var silent atomic.Bool
	srv := httptest.NewTLSServer(handler(t.Context(), func(ctx context.Context, ws *websocket.Conn) {
		say(ctx, ws, quickPings)
		if !silent.Swap(true) {
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
	c := dialed(t, url, Options{})
	if err := c.Call(t.Context(), "status", request{Fill: strings.Repeat("x", 200_000)}, nil); err != nil {
		t.Fatal(err)
	}
	within(t, "a silent server", func() {
		<-c.Done()
		var silent *SilentError
		if err := c.failure(); !errors.As(err, &silent) {
			t.Errorf("got %v", err)
		}
	})
	_, err := Dial(t.Context(), strings.Replace(url, "127.0.0.1", "localhost", 1), Options{})
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate for another name: %v", err)
	}
}
