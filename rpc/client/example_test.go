//go:build linux

package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
)

// serve starts a server on a free port.
func serve() (url string, stop func()) {
	sessions := session.NewRegistry(session.Options{})
	s := server.New(sessions, server.Options{Defaults: server.Defaults{Grace: time.Second}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	return "ws://" + l.Addr().String() + "/ws", func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		sessions.Shutdown(now)
		s.Shutdown()
		<-served
	}
}

func Example() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, url, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	s, err := c.Execute(ctx, rpc.ExecuteParams{Command: rpc.Command{Shell: "echo hello; exit 3"}}, client.Events{
		Output: func(o *client.Output) { fmt.Printf("%s: %s", o.Type, o.Data) },
	})
	if err != nil {
		log.Fatal(err)
	}
	record, err := s.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(record.Status, *record.ExitCode)
	// Output:
	// stdout: hello
	// failed 3
}

// Input and output of a command as byte streams. Reading slowly slows the command down; a lost
// connection is replaced.
func ExampleSession_Reader() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, url, client.Options{Reconnect: &client.Reconnect{}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	s, err := c.Execute(ctx, rpc.ExecuteParams{
		Command:      rpc.Command{Argv: []string{"sort"}},
		Stdin:        rpc.StdinPipe,
		OnDisconnect: rpc.OnDisconnectKeep, // it continues if the connection is lost
	}, client.Events{Readers: true})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.WriteBytes(ctx, []byte("pear\napple\nfig\n"), true); err != nil {
		log.Fatal(err)
	}
	sorted, err := io.ReadAll(s.Reader(rpc.StreamStdout))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(sorted))
	// Output:
	// apple
	// fig
	// pear
}

// Attach to a session that another client has started, and receive its events from the beginning of
// the log.
func ExampleClient_Attach() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()
	first, err := client.Dial(ctx, url, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	started, err := first.Execute(ctx, rpc.ExecuteParams{
		Command: rpc.Command{Shell: "echo one; read x; echo two"}, Stdin: rpc.StdinPipe, OnDisconnect: rpc.OnDisconnectKeep,
	}, client.Events{})
	if err != nil {
		log.Fatal(err)
	}
	_ = first.Close()

	second, err := client.Dial(ctx, url, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close()
	s, at, err := second.Attach(ctx, rpc.AttachParams{SessionID: started.ID()}, client.Events{
		Output: func(o *client.Output) { fmt.Print(string(o.Data)) },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("state:", at.State)
	if err := s.WriteBytes(ctx, []byte("\n"), true); err != nil {
		log.Fatal(err)
	}
	if _, err := s.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// state: running
	// one
	// two
}

// An error reply is an *rpc.Error.
func ExampleClient_Call() {
	url, stop := serve()
	defer stop()
	ctx := context.Background()
	c, err := client.Dial(ctx, url, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	err = c.Call(ctx, rpc.MethodStatus, rpc.SessionParams{SessionID: "11111111-1111-4111-8111-111111111111"}, nil)
	var refused *rpc.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Code == rpc.CodeSessionNotFound, refused.Message)
	}
	// Output:
	// true Session not found: 11111111-1111-4111-8111-111111111111
}
