//go:build linux

package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// gated is a command that writes a file when its stdin is closed.
func gated(path string) rpc.ExecuteParams {
	return rpc.ExecuteParams{Command: rpc.Command{Shell: "read x; exec cat " + path}, Stdin: rpc.StdinPipe}
}

// counted counts received output, and gaps.
func counted(b *testing.B, got *int64) client.Events {
	return client.Events{
		Output: func(o *client.Output) { *got += int64(len(o.Data)) },
		Gap:    func(g rpc.Gap) { b.Errorf("%+v", g) },
	}
}

func follow(b *testing.B, s *client.Session) *rpc.Completion {
	b.Helper()
	rec, err := s.Wait(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	return rec
}

// BenchmarkReplay compares the replay of a full log with the live path.
func BenchmarkReplay(b *testing.B) {
	const size, times, live = 1<<20 - 8<<10, 64, 64 << 20
	c := benchDial(b, benchServer(b, 100, 100))
	file, large := linesFile(b, 99, size), linesFile(b, 99, live)
	s, err := c.Execute(context.Background(), rpc.ExecuteParams{Command: rpc.Command{Argv: []string{"cat", file}}}, client.Events{})
	if err != nil {
		b.Fatal(err)
	}
	full := follow(b, s).Output.StdoutBytes
	var replay, direct []float64
	for b.Loop() {
		direct = append(direct, rate(live, func() { streamProduct(b, c, large) }))
		replay = append(replay, rate(int(full*times), func() {
			for range times {
				var got int64
				s, _, err := c.Attach(context.Background(), rpc.AttachParams{SessionID: s.ID()}, counted(b, &got))
				if err != nil {
					b.Fatal(err)
				}
				if follow(b, s); got != full {
					b.Fatalf("received %d bytes of %d", got, full)
				}
			}
		}))
	}
	b.ReportMetric(median(replay), "replay-MB/s")
	b.ReportMetric(median(direct), "live-MB/s")
	b.ReportMetric(median(replay)/median(direct), "ratio")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkObservers compares how fast a process gets its output out to one connection and to ten.
func BenchmarkObservers(b *testing.B) {
	const size = 32 << 20
	url := benchServer(b, 100, 100)
	file := linesFile(b, 99, size)
	var clients []*client.Client
	for range 10 {
		clients = append(clients, benchDial(b, url))
	}
	var one, ten []float64
	for b.Loop() {
		one = append(one, observe(b, clients[:1], file, size))
		ten = append(ten, observe(b, clients, file, size))
	}
	b.ReportMetric(median(one), "one-MB/s")
	b.ReportMetric(median(ten), "ten-MB/s")
	b.ReportMetric(median(one)/median(ten), "ratio")
	b.ReportMetric(0, "ns/op")
}

// observe returns the rate at which a process writes to which all clients are attached.
func observe(b *testing.B, clients []*client.Client, file string, size int) float64 {
	got := make([]int64, len(clients))
	s, err := clients[0].Execute(context.Background(), gated(file), counted(b, &got[0]))
	if err != nil {
		b.Fatal(err)
	}
	all := []*client.Session{s}
	for i, c := range clients[1:] {
		x, _, err := c.Attach(context.Background(), rpc.AttachParams{SessionID: s.ID()}, counted(b, &got[i+1]))
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, x)
	}
	return rate(size, func() {
		if err := s.WriteBytes(context.Background(), nil, true); err != nil {
			b.Fatal(err)
		}
		var wg sync.WaitGroup
		for i, x := range all {
			wg.Go(func() {
				if rec, err := x.Wait(context.Background()); err != nil || got[i] != rec.Output.StdoutBytes {
					b.Errorf("%d bytes, %v", got[i], err)
				}
			})
		}
		wg.Wait()
	})
}

// BenchmarkReadPolling compares a client that reads in a loop with one that gets notifications.
// Both decode output in the same way; encoding/json would dominate the result.
func BenchmarkReadPolling(b *testing.B) {
	const size = 64 << 20
	url := benchServer(b, 100, 100)
	c := benchDial(b, url)
	ws, _, err := websocket.Dial(context.Background(), url, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(rpc.MaxFrameBytes)
	path := linesFile(b, 99, size)
	var polled, notified []float64
	for b.Loop() {
		notified = append(notified, rate(size, func() { streamProduct(b, c, path) }))
		polled = append(polled, rate(size, func() { pollOutput(b, ws, path) }))
	}
	b.ReportMetric(median(polled), "read-MB/s")
	b.ReportMetric(median(notified), "notified-MB/s")
	b.ReportMetric(median(polled)/median(notified), "ratio")
	b.ReportMetric(0, "ns/op")
}

// pollOutput runs a command that writes a file, and reads all of it with one read after the
// other.
func pollOutput(b *testing.B, ws *websocket.Conn, path string) {
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	p := gated(path)
	var no bool
	p.SessionID, p.Stream = uuid.NewString(), &no
	message := make([]byte, 0, rpc.MaxFrameBytes)
	call := func(method string, params any) []byte {
		text := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, must(json.Marshal(params)))
		if err := ws.Write(context.Background(), websocket.MessageText, text); err != nil {
			b.Fatal(err)
		}
		for message = nextMessage(b, ws, message); !bytes.HasPrefix(message, []byte(`{"jsonrpc":"2.0","id":1,`)); {
			message = nextMessage(b, ws, message)
		}
		return message
	}
	call(rpc.MethodExecute, p)
	call(rpc.MethodRead, rpc.ReadParams{SessionID: p.SessionID}) // paces from now on
	call(rpc.MethodWrite, rpc.WriteParams{SessionID: p.SessionID, EOF: true})
	var got int64
	r := rpc.ReadResult{LastSeq: 1}
	for !r.Done {
		answer := call(rpc.MethodRead, rpc.ReadParams{SessionID: p.SessionID, AfterSeq: r.LastSeq})
		end := bytes.LastIndex(answer, []byte(`"last_seq"`))
		if err := json.Unmarshal(append([]byte("{"), answer[end:len(answer)-1]...), &r); err != nil {
			b.Fatal(err)
		}
		got += decodeData(b, answer[:end])
	}
	if got != info.Size() {
		b.Fatalf("received %d bytes of %d", got, info.Size())
	}
}

// decodeData decodes all output in a reply in place and returns its length.
func decodeData(b *testing.B, answer []byte) (n int64) {
	for {
		_, rest, ok := bytes.Cut(answer, []byte(`"data":"`))
		if !ok {
			return n
		}
		text, rest, err := wire.UnescapeText(rest[:0], rest)
		if err != nil {
			b.Fatal(err)
		}
		n, answer = n+int64(len(text)), rest
	}
}

func nextMessage(b *testing.B, ws *websocket.Conn, into []byte) []byte {
	_, r, err := ws.Reader(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	into = into[:0]
	for {
		n, err := r.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		if err == io.EOF {
			return into
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
