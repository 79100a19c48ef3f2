// Package client is a Go client of the Runnel protocol.
//
//	c, err := client.Dial(ctx, "ws://127.0.0.1:8003/ws", client.Options{Token: token})
//	…
//	s, err := c.Execute(ctx, rpc.ExecuteParams{Command: rpc.Command{Shell: "make"}}, client.Events{
//		Output: func(o *client.Output) { os.Stdout.Write(o.Data) },
//	})
//	…
//	record, err := s.Wait(ctx)
//
// Output is decoded by hand: encoding/json would be the slowest thing on its whole way.
package client
