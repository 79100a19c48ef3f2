package mcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
)

// Caller sends requests of the Runnel protocol, as [*client.Client] does. Its methods may be called
// concurrently. An execute whose context ends is canceled on the server, as are other requests.
//
// [*client.Client]: https://pkg.go.dev/github.com/runnel-rpc/runnel/rpc/client#Client
type Caller interface {
	// Call sends a request once, and decodes the result of the reply.
	Call(ctx context.Context, method string, params, result any) error
	// CallIdempotent is Call for a request that may be sent again after a lost connection.
	CallIdempotent(ctx context.Context, method string, params, result any) error
	// Connected returns the role, the capabilities and the limits.
	Connected() rpc.Connected
}

// Options are the options of New.
type Options struct {
	// Version is the version of the program.
	Version string
	// Tools are the names of the tools to offer. Nil offers all. Those that the role of the caller does
	// not permit are left out.
	Tools []string
	// Execute has the params that all commands have: Cwd, Env and inherited attributes. With a
	// Sandbox, Cwd is required: it is the working directory that the sandbox is made for, whatever
	// directory the host asks for, and the tools reach only sessions that were started with the same
	// Sandbox and Cwd. Cwd should have no symbolic links then, since its bytes are compared: a link
	// that is changed would name another directory.
	Execute rpc.ExecuteParams
	// Idle, if not 0, is how long a session without a name continues after its last use. Otherwise it ends
	// with the connection of the caller.
	Idle time.Duration
	// InProcess says that the Runnel server ends with this program: no session survives, with a name
	// neither.
	InProcess bool
	// Log receives faults of this package. Nil discards them.
	Log *slog.Logger
	// HostFaults receives what the SDK logs, most of it about messages that a host should not have sent. Nil
	// discards it.
	HostFaults *slog.Logger
}

var (
	// ErrUnknownTool is wrapped by the error of New for a name in Options.Tools that no tool has.
	ErrUnknownTool = errors.New("unknown tool")
	// ErrNoTools is the error of New if the role permits none of the tools.
	ErrNoTools = errors.New("the role of the caller permits none of the tools")
	// ErrNoDirectory is the error of New for a sandbox without a working directory.
	ErrNoDirectory = errors.New("a sandbox requires a working directory, for which it is made")
	// ErrCapability is wrapped by the error of New if the server lacks what the tools need.
	ErrCapability = errors.New("the server is too old for MCP")
)

// required are the capabilities of a server whose sessions the tools can start.
var required = []string{"merge_stderr", "capture_head", "wait_timeout", "waiting_for_input"}

// Server offers tools to one host.
type Server struct {
	caller  Caller
	options Options
	server  *sdk.Server
	calls   chan struct{} // has an element for each request in progress
	host    context.Context
	left    context.CancelFunc // ends host
	unknown unknownSessions

	confinement string // of the sessions that the tools reach; empty if they reach all
}

// New returns a server with the tools that the options name and the role of the caller permits.
func New(caller Caller, o Options) (*Server, error) {
	if err := CheckTools(o.Tools); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{options: o, calls: make(chan struct{}, MaxCalls)}
	if o.Execute.Sandbox != nil {
		if o.Execute.Cwd == "" {
			return nil, ErrNoDirectory
		}
		var err error
		if s.confinement, err = confinement(o.Execute.Sandbox, o.Execute.Cwd); err != nil {
			return nil, err
		}
	}
	s.server = sdk.NewServer(&sdk.Implementation{Name: "runnel", Title: "Runnel", Version: o.Version}, &sdk.ServerOptions{
		Instructions: instructions,
		Logger:       o.HostFaults,
		Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}},
	})
	s.server.AddReceivingMiddleware(s.guard, s.bound)
	connected, offered := caller.Connected(), 0
	for _, t := range tools {
		if o.Tools != nil && !slices.Contains(o.Tools, t.name) || !t.observes && onlyReads(caller) {
			continue
		}
		t.add(s)
		offered++
	}
	if offered == 0 {
		return nil, ErrNoTools
	}
	for _, name := range required {
		if !slices.Contains(connected.Capabilities, name) {
			return nil, fmt.Errorf("%w: it lacks %s", ErrCapability, name)
		}
	}
	s.serve(caller)
	return s, nil
}

// serve makes the calls that follow those of a host with this caller.
func (s *Server) serve(caller Caller) {
	s.caller = caller
	s.host, s.left = context.WithCancel(context.Background())
}

// onlyReads reports whether the role of a caller permits only to read.
func onlyReads(caller Caller) bool { return caller.Connected().Role == access.Observe.String() }

// CheckTools returns an ErrUnknownTool for a name that no tool has.
func CheckTools(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(tools, func(t tool) bool { return t.name == name }) {
			return fmt.Errorf("%w %q; the tools are %s", ErrUnknownTool, name, strings.Join(ToolNames(), ", "))
		}
	}
	return nil
}

// Serve exchanges messages with the host, each a line of JSON, until in ends or ctx is done. Then it
// ends the commands whose session id the host has not received yet, and returns nil; other sessions
// are the business of the caller. An error is about what the host has sent. Serve may be called once.
func (s *Server) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	defer context.AfterFunc(ctx, s.left)()
	defer s.left()
	session, err := s.server.Connect(context.WithoutCancel(ctx), &sdk.IOTransport{
		Reader:        &hostReader{Reader: in, left: s.left},
		Writer:        nopCloser{out},
		MaxLineLength: MaxMessageBytes,
	}, nil)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	select {
	case err = <-ended:
		if s.host.Err() != nil { // the error is that of a message that the host did not finish
			err = nil
		}
	case <-s.host.Done():
		go func() { _ = session.Close() }() // waits for calls in progress, as Wait does
		select {
		case <-ended:
		case <-time.After(closeTimeout): // a host that does not read stdout blocks them
		}
	}
	s.left()
	s.cancelUnknown()
	if err != nil {
		return fmt.Errorf("message of the host: %w", err)
	}
	return nil
}

// use makes the time of Options.Idle begin anew for a session, as a pending wait or read does.
func (s *Server) use(ctx context.Context, id string) {
	if s.options.Idle > 0 {
		_ = s.caller.Call(ctx, rpc.MethodWait, rpc.WaitParams{SessionID: id, Timeout: rpc.Seconds{Set: true}}, nil)
	}
}

var errTooManyCalls = fmt.Errorf("%d requests are in progress, which is the most; wait until one has ended", MaxCalls)

// errHostLeft is the cause of the end of calls when the host has gone.
var errHostLeft = errors.New("the host has gone")

// guard turns a panic of a handler into an internal error, and logs it. The SDK calls handlers in goroutines
// of its own, where a panic would end the program.
func (s *Server) guard(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, req sdk.Request) (r sdk.Result, err error) {
		defer func() {
			if p := recover(); p != nil {
				s.options.Log.Error("handler panicked", "panic", p, "method", method, "stack", string(debug.Stack()))
				r, err = nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: "internal error"}
			}
		}()
		return next(ctx, method, req)
	}
}

// bound refuses a request if MaxCalls are in progress, and ends it when the host has gone.
func (s *Server) bound(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
		if strings.HasPrefix(method, "notifications/") {
			return next(ctx, method, req)
		}
		select {
		case s.calls <- struct{}{}:
			defer func() { <-s.calls }()
		default:
			if method == "tools/call" {
				return failed(errTooManyCalls), nil
			}
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: errTooManyCalls.Error()}
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(s.host, func() { cancel(errHostLeft) })()
		return next(ctx, method, req)
	}
}

// hostReader reports the end of the input.
type hostReader struct {
	io.Reader
	left func()
}

// Read calls left at the end of the input, also while responses cannot be written.
func (r *hostReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil {
		r.left()
	}
	return n, err
}

// Close does nothing: the caller of Serve owns the reader.
func (r *hostReader) Close() error { return nil }

// nopCloser is a writer that the caller of Serve owns.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
