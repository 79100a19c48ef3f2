package server

import "github.com/runnel-rpc/runnel/rpc"

// lazyResult returns the JSON of a large result. It is called when the control queue has room for
// the reply, so that many replies that wait do not take memory.
type lazyResult func() []byte

// maxReplyOverhead is how many bytes of a message are left for the envelope and the id of a large
// result.
const maxReplyOverhead = 4 << 10

// framed returns the message that connStatus.reply expects for the text of a reply: a frame, or in
// a batch the text.
func (r *request) framed(message []byte) []byte {
	if message == nil || r.batch != nil {
		return message
	}
	return frame(frameText, message)
}

// encode returns the text of the reply, nil for a notification. A result that does not fit into a
// message becomes an error.
func (r *request) encode(res any, err error) []byte {
	if r.id == nil {
		if err != nil {
			e := auditedError(err) // the message may quote params
			r.conn.log().Debug().Int("code", e.Code).Str("kind", e.Kind).Str("method", r.Method).Msg("notification failed")
		}
		return nil
	}
	if err != nil {
		e, known := rpcError(err, "")
		if !known {
			r.conn.log().Error().Err(err).Str("method", r.Method).Msg("request failed")
		}
		return errorReply(r.id, e)
	}
	var text []byte
	if large, ok := res.(lazyResult); ok {
		if a := r.guard(func() answer { text = large(); return answer{} }); a.err != nil {
			return errorReply(r.id, rpc.Internal())
		}
	} else {
		text = mustMarshal(res)
	}
	if len(text) > rpc.MaxFrameBytes-maxReplyOverhead {
		return errorReply(r.id, rpc.ReplyTooLarge())
	}
	b := make([]byte, 0, len(text)+len(r.id)+40)
	b = append(append(append(b, `{"jsonrpc":"2.0","id":`...), r.id...), `,"result":`...)
	return append(append(b, text...), '}')
}

// errorReply returns the text of a reply with an error. id is raw JSON; nil means null (JSON-RPC
// 2.0 §5).
func errorReply(id []byte, e *rpc.Error) []byte {
	if id == nil {
		id = []byte("null")
	}
	b := append(append([]byte(`{"jsonrpc":"2.0","id":`), id...), `,"error":`...)
	return append(append(b, mustMarshal(e)...), '}')
}
