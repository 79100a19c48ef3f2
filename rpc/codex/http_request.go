package codex

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// This file has the method http/request: a request that the server makes for the client, as for a MCP server
// that only the machine of the server can reach.

const methodHTTPRequest = "http/request"

// httpResult is an encoder.
type httpResult struct {
	Status  int
	Headers []httpHeader
	Body    []byte // empty if it is streamed
}

// httpRequest carries out a http/request. It belongs to the connection, and ends when the server begins to close
// that, as for a credential that was revoked.
func httpRequest(c *conn, q *httpParams) answer {
	ctx, end := c.httpContext(q)
	r, err := q.request(ctx)
	if err == nil {
		err = c.takeHTTP(q)
	}
	if err != nil {
		end()
		return result(nil, err)
	}
	x := &httpExchange{c: c, params: q, request: r, end: end, connections: newHTTPConnections(ctx)}
	return later(func() (a answer) {
		defer c.awaitEnd()
		if !c.handler.httpSlots.take(c.caller.Principal()) {
			x.release()
			return result(nil, invalidRequest("too many http/request run, of this principal or of all; try again"))
		}
		x.counted = true
		defer func() {
			if !x.streams { // or the exchange has panicked
				x.release()
			}
		}()
		_ = c.withoutSlot(func() error {
			a = x.run()
			return nil
		})
		return a
	})
}

// httpContext returns the context of a request.
func (c *conn) httpContext(q *httpParams) (ctx context.Context, end func()) {
	ctx, cancel := context.WithTimeout(c.ctx, q.time())
	stop := context.AfterFunc(c.caller.Context(), cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// takeHTTP counts a request of the connection, and takes its id if its body is streamed. It is called by
// the goroutine that reads.
func (c *conn) takeHTTP(q *httpParams) error {
	if !take(&c.httpRequests, maxHTTPRequests) {
		return invalidRequest("%d http/request run, which is the limit", maxHTTPRequests)
	}
	if !q.StreamResponse {
		return nil
	}
	if _, active := c.httpStreams.LoadOrStore(q.RequestID, true); active {
		c.httpRequests.Add(-1)
		return invalidParams("the requestId %s is in use", clip(q.RequestID))
	}
	return nil
}

// httpExchange is a http/request that runs.
type httpExchange struct {
	c       *conn
	params  *httpParams
	request *http.Request
	end     func() // ends the context of the request
	counted bool   // in Handler.httpSlots
	streams bool   // the body is streamed, by a goroutine that releases the exchange

	connections *httpConnections
}

// release ends the request. When it returns, nothing is left that the request counts for.
func (x *httpExchange) release() {
	x.end()
	x.connections.close()
	if x.params.StreamResponse {
		x.c.httpStreams.Delete(x.params.RequestID)
	}
	x.c.httpRequests.Add(-1)
	if x.counted {
		x.c.handler.httpSlots.release(x.c.caller.Principal())
	}
}

// run makes the request.
func (x *httpExchange) run() answer {
	response, err := x.client().Do(x.request)
	if err != nil {
		return result(nil, httpError(x.timedOut(err)))
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		_ = response.Body.Close()
		return result(nil, &wireError{Code: codeInternal, Message: "http/request failed: the server switches the protocol"})
	}
	headers, err := responseHeaders(response.Header)
	if err != nil {
		_ = response.Body.Close()
		return result(nil, err)
	}
	head := httpResult{Status: response.StatusCode, Headers: headers}
	if x.params.StreamResponse {
		x.streams = true
		return answer{result: head, then: func() {
			x.c.wg.Go(func() {
				_ = x.c.guard(func() answer { x.stream(response.Body); return answer{} })
			})
		}}
	}
	defer response.Body.Close()
	return x.whole(head, response)
}

// timedOut returns an error that says that the time of the request is over, if it is, and else err.
func (x *httpExchange) timedOut(err error) error {
	if x.request.Context().Err() == context.DeadlineExceeded {
		return &wireError{Code: codeInternal, Message: "http/request failed: it took longer than " + x.params.time().String()}
	}
	return err
}

// responseHeaders returns the headers of a response by their names, repeated ones in their order. Values that
// are no visible ASCII are left out, as in Codex's own server. More than maxHTTPHeaders are an error: many
// short ones take far more memory than their bytes.
func responseHeaders(h http.Header) ([]httpHeader, error) {
	all := []httpHeader{}
	for name, values := range h {
		if len(all)+len(values) > maxHTTPHeaders {
			return nil, &wireError{
				Code: codeInternal, Message: fmt.Sprintf("http/request failed: the response has more than %d headers", maxHTTPHeaders),
			}
		}
		for _, value := range values {
			if !strings.ContainsFunc(value, func(c rune) bool { return c != '\t' && (c < ' ' || c > '~') }) {
				all = append(all, httpHeader{Name: strings.ToLower(name), Value: value})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b httpHeader) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func (r httpResult) size() int {
	n := base64.StdEncoding.EncodedLen(len(r.Body)) + 64
	for _, h := range r.Headers {
		n += 6*(len(h.Name)+len(h.Value)) + 32 // a character of JSON takes at most 6 bytes
	}
	return n
}

func (r httpResult) append(b []byte) []byte {
	b = append(b, `{"status":`...)
	b = append(b, marshal(r.Status)...)
	b = append(b, `,"headers":`...)
	b = append(b, marshal(r.Headers)...)
	b = append(b, `,"bodyBase64":"`...)
	b = base64.StdEncoding.AppendEncode(b, r.Body)
	return append(b, `"}`...)
}
