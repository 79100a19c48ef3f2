// Package server serves the Runnel protocol over WebSocket, for the sessions of a
// [session.Registry]. [Options] has functions to authenticate callers, authorize requests, route
// them to other servers, and serve other HTTP paths.
//
// The path of a request:
//
//	frame → message reader → request → handler → reply → control queue → outbox → socket
//
// The path of output:
//
//	log → cursor → subscription → outbox → socket
package server
