package server

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/socketpair"
)

// LocalRequest is an HTTP request whose handler, one of Options.Routes, speaks another protocol and carries
// it out by requests of /ws, on connections within the process. It counts as a connection until Close, for
// the limits of the server and of its principal. Its methods may be called concurrently.
type LocalRequest struct {
	server   *Server
	request  *http.Request
	identity access.Identity
	tcp      *unauthenticatedConn
	conns    sync.WaitGroup // that Dial has made
}

// AcceptLocal makes a LocalRequest of a request. If there is no room for another connection, or the server
// shuts down, it answers the request and returns false. It may delay the request, as a handshake of /ws.
// Until Close, the connection of the request is not closed to make room for others, and the handler bounds the
// time that the request takes.
func AcceptLocal(w http.ResponseWriter, r *http.Request) (*LocalRequest, bool) {
	s, id, ok := admitted(w, r)
	if !ok {
		return nil, false
	}
	if !s.addLocal() {
		s.releaseSlot(id.Principal)
		http.Error(w, refusedShutdown, http.StatusServiceUnavailable)
		return nil, false
	}
	l := &LocalRequest{server: s, request: r, identity: id, tcp: connOf(r.Context())}
	s.unauthenticated.remove(l.tcp)
	return l, true
}

// addLocal counts a LocalRequest, unless Shutdown waits for them already.
func (s *Server) addLocal() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.locals.Add(1)
	return true
}

// Close ends the request. The connections of Dial must be closed before; Close waits until the server has
// finished with them. It must be called once, by the goroutine of the handler, before that returns.
func (l *LocalRequest) Close() {
	l.conns.Wait()
	l.server.unauthenticated.add(l.tcp)
	l.tcp.answered = l.server.locals.Done
	l.server.releaseSlot(l.identity.Principal)
}

// AwaitHandshakes delays the request as n further handshakes of /ws, for a handler that does as much work for one
// request as for several. It returns false if the connection has ended.
func (l *LocalRequest) AwaitHandshakes(n int) bool {
	for range n {
		if !l.server.awaitHandshake(l.request.Context(), l.identity.Principal) {
			return false
		}
	}
	return true
}

// Connected returns what connected would tell a connection of the caller, without an id.
func (l *LocalRequest) Connected() rpc.Connected { return l.server.connected("", l.identity) }

// Dial connects to /ws as the caller of the request, within the process. The result is for the handshake of
// a WebSocket client.
func (l *LocalRequest) Dial(context.Context) (net.Conn, error) {
	client, conn, err := socketpair.New()
	if err != nil {
		return nil, err
	}
	l.conns.Go(func() { l.serve(conn) })
	return client, nil
}

// serve serves a connection until it is closed.
func (l *LocalRequest) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	r, err := http.ReadRequest(in)
	if err != nil {
		_ = conn.Close()
		return
	}
	h, err := handshake(&localResponse{conn: conn, in: in, header: make(http.Header)}, r)
	if err != nil {
		_ = conn.Close()
		return
	}
	c := l.server.connect(l.identity, l.request, &current, conn, h.before)
	defer l.server.remove(c)
	c.serve()
}

// localResponse is the http.ResponseWriter of a handshake on a connection of Dial.
type localResponse struct {
	conn   net.Conn
	in     *bufio.Reader
	header http.Header
}

// Header implements http.ResponseWriter.
func (l *localResponse) Header() http.Header { return l.header }

// WriteHeader implements http.ResponseWriter. Its errors are those of the connection later.
func (l *localResponse) WriteHeader(status int) {
	r := http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: l.header}
	_ = r.Write(l.conn)
}

// Write implements http.ResponseWriter.
func (l *localResponse) Write(b []byte) (int, error) { return l.conn.Write(b) }

// Hijack implements http.Hijacker.
func (l *localResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return l.conn, bufio.NewReadWriter(l.in, bufio.NewWriter(l.conn)), nil
}
