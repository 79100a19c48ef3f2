// Package server speaks the Runnel protocol over WebSocket: frames in, dispatch, outbox, frames out. It
// answers HTTP, says who may call, and reaches sessions through the small interface [Sessions].
//
// The way of a request:
//
//	frame → envelope check → jsonrpc2.Conn → method table → Sessions → Session
//
// and that of an answer or of output:
//
//	handler ─→ control lane ─┐
//	log ←pull─ output lane ──┴→ outbox → one write → socket
package server
