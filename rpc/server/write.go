package server

import (
	"context"
	"encoding/base64"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

func write(r *request, p *rpc.WriteParams) answer {
	data, bad := input(p)
	if bad == nil {
		bad = checkWriter(p)
	}
	if bad != nil {
		return result(nil, bad)
	}
	return submit(r, p, data, nil)
}

// submit submits data to the stdin of a session, and waits until it was accepted. recycle, if it is
// not nil, is called when the memory of data is not needed any more.
func submit(r *request, p *rpc.WriteParams, data []byte, recycle func()) answer {
	s, err := r.conn.find(p.SessionID, mayChange)
	r.conn.auditWrite(s, p.SessionID, err)
	if err != nil {
		return result(nil, err)
	}
	w := s.Write(data, recycle, offset(p), p.EOF)
	if isDone(w.Done) { // without a goroutine, so that the reply is ahead of the output that the data causes
		return result(rpc.WriteResult{StdinBytes: w.Total}, w.Err)
	}
	return later(func(ctx context.Context) (any, error) {
		if err := await(ctx, w.Done); err != nil && s.Withdraw(w) {
			return nil, err
		}
		<-w.Done
		return rpc.WriteResult{StdinBytes: w.Total}, w.Err
	})
}

// checkWriter returns the error of a writer without an offset, or with a name that is too long.
func checkWriter(p *rpc.WriteParams) *rpc.Error {
	switch {
	case p.Writer != "" && p.Offset == nil:
		return rpc.InvalidParams("writer", "writer requires offset")
	case len(p.Writer) > rpc.MaxWriterBytes:
		return rpc.InvalidParams("writer", "writer has more than %d bytes", rpc.MaxWriterBytes)
	}
	return nil
}

func offset(p *rpc.WriteParams) *session.Offset {
	if p.Offset == nil {
		return nil
	}
	return &session.Offset{Writer: p.Writer, At: *p.Offset}
}

// input returns the data of a write, which may be left out with eof.
func input(p *rpc.WriteParams) ([]byte, *rpc.Error) {
	switch {
	case p.Data == nil && !p.EOF:
		return nil, rpc.InvalidParams("data", "data is required")
	case p.Data == nil:
		return nil, nil
	case p.Encoding != rpc.EncodingBase64:
		return []byte(*p.Data), nil
	}
	data, err := base64.StdEncoding.DecodeString(*p.Data)
	if err != nil {
		return nil, rpc.InvalidParams("data", "data is not valid base64")
	}
	return data, nil
}
