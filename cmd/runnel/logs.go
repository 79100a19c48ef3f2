package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

type logsCmd struct {
	target
	AfterSeq int64  `name:"after-seq" help:"Begin after this position in the session's log." placeholder:"N"`
	ID       string `arg:"" help:"The session's id, or a unique prefix of it."`
}

// endOfLog is a position beyond the end of any log. The result of a read from there has the end of
// the log.
const endOfLog = 1<<53 - 1

// Run prints the session's output up to the current end of the log, stdout to stdout and stderr to
// stderr.
func (c *logsCmd) Run(inv *invocation) error {
	return c.withClient(inv, func(ctx context.Context, conn *client.Client) error {
		id, err := resolveID(ctx, conn, c.ID)
		if err != nil {
			return err
		}
		read := func(after int64) (res rpc.ReadResult, err error) {
			err = conn.Call(ctx, rpc.MethodRead, rpc.ReadParams{SessionID: id, AfterSeq: after, Timeout: rpc.Seconds{Set: true}}, &res)
			return res, err
		}
		end, err := read(endOfLog)
		if err != nil {
			return err
		}
		for after := c.AfterSeq; after < end.LastSeq; {
			res, err := read(after)
			if err != nil {
				return err
			}
			for _, e := range res.Events {
				if err := printEvent(inv, e); err != nil {
					return err
				}
			}
			if res.Done || len(res.Events) == 0 {
				return nil
			}
			after = res.LastSeq
		}
		return nil
	})
}

// printEvent prints output, and reports a gap to stderr.
func printEvent(inv *invocation, e rpc.Event) error {
	switch e.Method {
	case rpc.NotifyOutput:
		var o rpc.Output
		if err := json.Unmarshal(e.Params, &o); err != nil {
			return err
		}
		return printOutput(inv, &o)
	case rpc.NotifyGap:
		var g rpc.Gap
		if err := json.Unmarshal(e.Params, &g); err != nil {
			return err
		}
		_, err := fmt.Fprintf(inv.stderr, "runnel: %d bytes of output are not kept\n", g.LostBytes)
		return err
	}
	return nil
}

func printOutput(inv *invocation, o *rpc.Output) (err error) {
	data := []byte(o.Data)
	if o.Encoding == rpc.EncodingBase64 {
		if data, err = base64.StdEncoding.DecodeString(o.Data); err != nil {
			return err
		}
	}
	to := io.Writer(inv.stdout)
	if o.Type == rpc.StreamStderr {
		to = inv.stderr
	}
	_, err = to.Write(data)
	return err
}
