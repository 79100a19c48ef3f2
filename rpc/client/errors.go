package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"github.com/runnel-rpc/runnel/rpc"
)

var (
	// ErrClosed is wrapped by the error of each operation that fails because the connection is
	// closed.
	ErrClosed = errors.New("connection closed")
	// ErrDetached is the error of Session.Wait after Session.Detach.
	ErrDetached = errors.New("detached")
	// ErrAttached is the error of Execute and Attach if the client is attached to a session of that
	// id.
	ErrAttached = errors.New("the client is already attached to the session")
)

// TooLargeError is the error of a request that is larger, in bytes, than the server's
// max_message_bytes. It was not sent.
type TooLargeError struct{ Size, Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("message of %d bytes exceeds the server's limit of %d", e.Size, e.Limit)
}

// RefusedError is the error of Dial if the server answers the upgrade with another HTTP status than
// 101.
type RefusedError struct {
	Status int
	Reason string // the first 256 bytes of the body
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("server refused the connection: %d %s: %s", e.Status, http.StatusText(e.Status), e.Reason)
}

// dialError returns why a dial failed, without the prefixes that the libraries add.
func dialError(err error, resp *http.Response) error {
	var op *net.OpError
	switch {
	case resp != nil && resp.StatusCode != http.StatusSwitchingProtocols:
		reason, _ := io.ReadAll(io.LimitReader(resp.Body, 256))
		_ = resp.Body.Close()
		return &RefusedError{Status: resp.StatusCode, Reason: strings.TrimSpace(string(reason))}
	case errors.As(err, &op):
		return op
	}
	return err
}

// closedByServer is why a connection was closed with a close frame, which it wraps.
type closedByServer struct{ frame websocket.CloseError }

func (e *closedByServer) Unwrap() error { return e.frame }
func (e *closedByServer) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("closed by the server: %d %s", e.frame.Code, e.frame.Reason), " ")
}

// closeReason returns why a connection was closed, without the prefixes that the libraries add.
func closeReason(err error) error {
	var closed websocket.CloseError
	var op *net.OpError
	var timeout *TimeoutError
	switch {
	case errors.As(err, &timeout):
		return timeout
	case errors.As(err, &closed) && closed.Code == rpc.CloseUnauthorized:
		return &UnauthorizedError{closed.Reason}
	case errors.As(err, &closed):
		return &closedByServer{closed}
	case errors.As(err, &op):
		return op
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}
