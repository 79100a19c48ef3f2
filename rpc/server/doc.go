// Package server speaks the Runnel protocol over WebSocket: frames in, dispatch, outbox, frames out. It
// answers HTTP, says who may call, and reaches sessions through the small interface [Sessions].
//
// The path of a request:
//
//	frame → message reader → request → handler → reply → control queue → outbox → socket
//
// The path of output:
//
//	log → cursor → subscription → outbox → socket
package server
