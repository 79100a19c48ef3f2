package egress

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"time"
)

// forward sends a request to the host of its URL, and the response to the client. It reports
// whether another request may follow.
func (c *httpConn) forward(req *http.Request) bool {
	t, err := urlTarget(req.URL)
	if err != nil {
		c.respondError(http.StatusBadRequest, err.Error(), "http_request_error")
		return false
	}
	for {
		reused, err := c.useLink(t)
		if err != nil {
			c.respondUnreached(err)
			return false
		}
		e := &exchange{conn: c, link: c.link, req: req, received: c.link.down}
		again, err := e.run()
		if err == nil {
			return again
		}
		lost := e.link.down == e.received
		c.dropLink()
		if e.answered || e.gone || c.proxy.ctx.Err() != nil {
			return false
		}
		if reused && lost && repeatable(req) {
			continue // the server has closed the connection at the same time
		}
		cause := invalidResponse
		if lost {
			cause = connectionLost
		}
		c.respondUnreached(&failure{target: t, cause: cause})
		return false
	}
}

// useLink makes c.link a connection to the target: the one of the last request if that had the same
// one. Every request is checked, because the list does not change.
func (c *httpConn) useLink(t target) (reused bool, err error) {
	if c.link != nil && c.link.target == t && c.link.idle() {
		return true, nil
	}
	c.dropLink()
	c.link, err = c.proxy.reach(t)
	return false, err
}

// repeatable reports whether a request may be sent once more (RFC 9110, section 9.2.2).
func repeatable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return req.ContentLength == 0
	}
	return false
}

// exchange is one request and its response.
type exchange struct {
	conn     *httpConn
	link     *link
	req      *http.Request
	received int64 // link.down at the beginning
	answered bool  // a part of the response was sent to the client
	gone     bool  // the client has closed the connection
}

// run sends the request in a goroutine of its own, because a server may answer before it has all of
// it, and the response meanwhile. The goroutine then waits for the client to close the connection.
func (e *exchange) run() (again bool, err error) {
	sent := make(chan bool, 1)
	go func() { sent <- e.send() }()
	keepClient, keepLink, err := e.receive()
	past := time.Unix(1, 0) // interrupts the goroutine
	e.conn.SetReadDeadline(past)
	e.link.SetWriteDeadline(past)
	all := <-sent
	e.conn.SetReadDeadline(time.Time{})
	e.link.SetWriteDeadline(time.Time{})
	if err != nil {
		return false, err
	}
	if !all || !keepLink {
		e.conn.dropLink()
	}
	if !all {
		linger(e.conn.Conn)
	}
	return all && keepClient, nil
}

// send writes the request and reports whether all of it was written. Then it closes the connection
// to the server as soon as the client closes its own, so that nobody waits for a response in vain.
// A client that only shuts down its side for writing is taken for one that has closed, as by
// net/http.
func (e *exchange) send() bool {
	err := e.request().write(linkWriter{e.link})
	var body *bodyError
	if errors.As(err, &body) {
		e.abandon(err)
	}
	if err != nil {
		return false // after an error of the server's connection, the response may be there
	}
	if _, err := e.conn.r.Peek(1); err != nil {
		e.abandon(err)
	}
	return true
}

// abandon ends the exchange after an error of reading from the client, unless receive is done.
func (e *exchange) abandon(err error) {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		e.gone = true
		e.link.Conn.Close()
	}
}

// request returns the request as it is written to the server.
func (e *exchange) request() *message {
	req := e.req
	uri := req.URL.RequestURI()
	if req.Method == http.MethodOptions && req.URL.Path == "" && req.URL.RawQuery == "" {
		uri = "*" // RFC 9112, section 3.2.4
	}
	host := e.link.target.String()
	if e.link.target.port == 80 {
		host = strings.TrimSuffix(host, ":80")
	}
	m := &message{
		first:  req.Method + " " + uri + " HTTP/1.1\r\nHost: " + host,
		header: req.Header.Clone(), length: req.ContentLength, body: req.Body,
	}
	switch {
	case req.ContentLength > 0:
		m.framing = byLength
	case req.ContentLength < 0:
		m.framing = byChunks
	}
	removeHopByHop(m.header)
	m.header.Del("Host")
	return m
}

// receive reads the response and writes it to the client.
func (e *exchange) receive() (keepClient, keepLink bool, err error) {
	resp, err := e.finalResponse()
	if err != nil {
		return false, false, err
	}
	current := e.req.ProtoAtLeast(1, 1)
	m := &message{first: statusLine(resp), header: resp.Header, length: resp.ContentLength, body: resp.Body}
	chunked := len(resp.TransferEncoding) > 0
	switch {
	case e.req.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified:
		m.framing = noBody
	case resp.ContentLength >= 0:
		m.framing = byLength
	case chunked && current:
		m.framing = byChunks
	default:
		m.framing = byEndOfAll
	}
	m.last = e.req.Close || !current || m.framing == byEndOfAll
	removeHopByHop(m.header)
	e.answered = true
	if err := m.write(e.conn); err != nil {
		return false, false, err
	}
	return !m.last, !resp.Close && (m.framing != byEndOfAll || chunked), nil
}

// finalResponse passes on responses 1xx, and returns the one that follows.
func (e *exchange) finalResponse() (*http.Response, error) {
	r := e.link.receive()
	for range maxInformational + 1 {
		if _, err := peekHead(r); err != nil {
			return nil, err
		}
		resp, err := http.ReadResponse(r, e.req)
		if err != nil {
			return nil, err
		}
		switch {
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("the server switches to a protocol that nobody asked for")
		case resp.StatusCode >= 200:
			return resp, nil
		case e.req.ProtoAtLeast(1, 1):
			removeHopByHop(resp.Header)
			m := &message{first: statusLine(resp), header: resp.Header}
			if err := m.write(e.conn); err != nil {
				return nil, err
			}
		}
	}
	return nil, errors.New("too many responses 1xx")
}

func statusLine(resp *http.Response) string {
	status := resp.Status
	if !isFieldValue([]byte(status)) {
		status = resp.Status[:3]
	}
	return "HTTP/1.1 " + status
}
