package server

import (
	"bytes"
	"encoding/json"

	"github.com/runnel-rpc/runnel/rpc"
)

const (
	// maxIDBytes is the longest id of a request, as it is written.
	maxIDBytes = 1024
	// maxInFlightBytes is the most bytes of params that requests in flight on one connection have.
	maxInFlightBytes = 64 << 20
)

// mayAddInFlight returns why a request must not be added to those in flight, or nil.
func (st *connStatus) mayAddInFlight(r *request, maxInFlight int) *rpc.Error {
	switch {
	case r.key != "" && st.inFlight[r.key] != nil:
		return rpc.DuplicateID(r.id)
	case st.requests >= maxInFlight:
		return rpc.Overloaded("max_in_flight", int64(maxInFlight))
	case st.paramBytes+r.size > maxInFlightBytes:
		return rpc.Overloaded("max_in_flight_bytes", maxInFlightBytes)
	}
	return nil
}

// addInFlight counts a request as in flight and its reply as pending.
func (st *connStatus) addInFlight(r *request) {
	st.requests++
	st.paramBytes += r.size
	if r.key != "" {
		if st.inFlight == nil { // an idle connection has no map
			st.inFlight = make(map[string]*request)
		}
		st.inFlight[r.key] = r
	}
	st.addPending()
}

// removeInFlight removes a request from those in flight, so that its id may be used again. Its
// reply is still pending.
func (st *connStatus) removeInFlight(r *request) {
	st.requests--
	st.paramBytes -= r.size
	if r.key != "" {
		delete(st.inFlight, r.key)
	}
}

// reply puts the reply of a request into the control queue, or into its batch. message is a frame,
// or text for a batch (see request.framed); nil is no reply.
func (st *connStatus) reply(r *request, message []byte) {
	switch {
	case message == nil:
	case r.batch != nil:
		st.addReply(r.batch, r.id, message)
	default:
		st.queue(message)
	}
}

// idKey is one spelling of an id: strings are compared by their characters, numbers as they are
// written. It is "" for a notification and for a null id.
func idKey(id []byte) string {
	if len(id) == 0 || id[0] == 'n' {
		return ""
	}
	if id[0] == '"' && bytes.IndexByte(id, '\\') >= 0 {
		var s string
		if json.Unmarshal(id, &s) == nil {
			return `"` + s + `"`
		}
	}
	return string(id)
}
