package codex

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/runnel-rpc/runnel/rpc/budget"
)

const (
	// maxHTTPBodyBytes is the default of Options.MaxHTTPBody.
	maxHTTPBodyBytes = 16 << 20
	// maxHTTPDeltaBytes is the most of a streamed body in one notification.
	maxHTTPDeltaBytes = 32 << 10
	// maxHTTPMemory is what the bodies that are not streamed take on all connections, in Options.MaxHTTPBody:
	// while they are read, and then until they are written. maxHTTPMemoryOfPrincipal is the share of one
	// principal.
	maxHTTPMemory            = 16
	maxHTTPMemoryOfPrincipal = 4
)

type bodyNotification struct {
	RequestID   string  `json:"requestId"`
	Seq         int64   `json:"seq"`
	DeltaBase64 []byte  `json:"deltaBase64"`
	Done        bool    `json:"done"`
	Error       *string `json:"error"`
}

// stream sends a body as notifications, and releases the exchange. It reads no more than the client
// takes: a notification waits until there is room for it.
func (x *httpExchange) stream(body io.ReadCloser) {
	defer x.release()
	defer body.Close()
	buffer := make([]byte, maxHTTPDeltaBytes)
	n := bodyNotification{RequestID: x.params.RequestID}
	for !n.Done {
		size, err := body.Read(buffer)
		if err != nil {
			n.Done = size == 0 // else the next read returns the error again
		}
		if size == 0 && err == nil {
			continue
		}
		n.Seq++
		n.DeltaBase64 = buffer[:size]
		if n.Done && err != io.EOF {
			text := httpError(x.timedOut(err)).Error()
			n.Error = &text
		}
		if x.c.closing() || x.c.enqueue(notification("http/request/bodyDelta", n)) != nil {
			return
		}
	}
}

// whole reads a body, with memory for it that is held until the reply is written.
func (x *httpExchange) whole(head httpResult, response *http.Response) (a answer) {
	size := max(response.ContentLength, 0)
	if response.Body == http.NoBody {
		size = 0
	}
	limit := x.c.handler.o.MaxHTTPBody
	if size > limit {
		return result(nil, bodyTooLarge(limit))
	}
	memory, err := x.c.handler.httpMemory.Take(x.request.Context(), x.c.caller.Principal(), fileCost(size))
	if err != nil {
		return result(nil, httpError(x.timedOut(err)))
	}
	defer func() {
		if a.memory == nil {
			memory.Release()
		}
	}()
	if head.Body, err = readBody(response.Body, size, limit, memory); err != nil {
		return result(nil, httpError(x.timedOut(err)))
	}
	return answer{result: head, memory: memory}
}

func bodyTooLarge(limit int64) error {
	return &wireError{
		Code:    codeInternal,
		Message: fmt.Sprintf("http/request failed: the body of the response has more than %d bytes; use streamResponse", limit),
	}
}

var errNoBodyMemory = &wireError{
	Code:    codeInternal,
	Message: "http/request failed: there is no memory for the body of the response now; try again",
}

// readBody reads a body of at most limit bytes, of which size bytes are expected. It takes more memory if there
// is more.
func readBody(body io.Reader, size, limit int64, memory *budget.Held) ([]byte, error) {
	data := make([]byte, 0, size+512)
	for {
		if len(data) == cap(data) {
			if int64(len(data)) > limit {
				return nil, bodyTooLarge(limit)
			}
			grown := min(2*int64(cap(data)), limit+1)
			if n := fileCost(grown); n > memory.Units() && !memory.Resize(n) {
				return nil, errNoBodyMemory
			}
			data = append(make([]byte, 0, grown), data...)
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case errors.Is(err, io.EOF):
			if int64(len(data)) > limit {
				return nil, bodyTooLarge(limit)
			}
			return data, nil
		case err != nil:
			return nil, err
		}
	}
}
