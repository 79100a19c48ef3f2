package server

import "github.com/runnel-rpc/runnel/rpc"

// maxBatch is the most items of a batch.
const maxBatch = 64

// batch collects the replies of one batch, which are sent as one message after the last of them. It
// belongs to the state of its connection.
type batch struct {
	text    []byte
	counted int // bytes of text in connStatus.batchBytes
	pending int // items that have no reply yet, and one for reading the batch itself
}

// newBatch returns a batch. addItem adds each item, and doneItem is called once after the last.
func (st *connStatus) newBatch() *batch {
	st.addPending()
	return &batch{pending: 1}
}

// addItem counts an item that will be answered.
func (st *connStatus) addItem(b *batch) { b.pending++ }

// addReply adds an item's reply. A reply that does not fit into the message becomes an error, for
// which there is always room: maxBatch of them, with the longest ids, take less than half of it. A
// reply that exceeds the bound of the connection's incomplete batches becomes an error too.
func (st *connStatus) addReply(b *batch, id, message []byte) {
	if len(b.text)+len(message) > rpc.MaxFrameBytes-maxBatch*maxIDBytes*4 {
		message = errorReply(id, rpc.ReplyTooLarge())
	}
	if st.batchBytes+len(message) <= maxReplyBytes {
		st.batchBytes += len(message)
		b.counted += len(message)
	} else {
		message = errorReply(id, rpc.Overloaded("max_reply_bytes", maxReplyBytes))
	}
	if len(b.text) > 0 {
		b.text = append(b.text, ',')
	} else {
		b.text = append(b.text, '[')
	}
	b.text = append(b.text, message...)
	st.doneItem(b)
}

// doneItem sends the replies after the last item. A batch of notifications has none (JSON-RPC 2.0
// §6).
func (st *connStatus) doneItem(b *batch) {
	b.pending--
	if b.pending > 0 {
		return
	}
	if len(b.text) > 0 {
		st.batchBytes -= b.counted
		st.queue(frame(frameText, append(b.text, ']')))
	}
	st.donePending()
}
