package audit

import (
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// Event is what a line reports. It is one of the types of this package.
type Event interface {
	// event is the value of the member "event".
	event() string
	// vital reports whether the line may use all of the queue. Clients can cause the others at any
	// rate, so these may use half of it.
	vital() bool
	encode(*line)
}

// Caller is who caused an event.
type Caller struct {
	access.Identity
	Peer       Peer
	Connection string // the connection_id
}

func (c *Caller) encode(l *line) {
	if c.Principal != "" {
		l.name("principal", c.Principal)
		l.name("role", c.Role.String())
	}
	l.name("credential", c.Credential)
	c.Peer.encode(l)
	l.name("connection_id", c.Connection)
}

// Peer is where a connection comes from.
type Peer struct {
	access.Peer
	Address   string // of TCP, with the port
	Forwarded string // the address that a trusted proxy reports
}

func (p *Peer) encode(l *line) {
	l.object("peer", func() {
		l.name("address", p.Address)
		if p.Known {
			l.number("uid", int64(p.UID))
		}
		if p.PID > 0 { // refusals are counted by user id
			l.number("gid", int64(p.GID))
			l.number("pid", int64(p.PID))
		}
		l.name("forwarded", p.Forwarded)
	})
}

// Session names a session: by its id and its owner, who may be another principal than the caller.
type Session struct{ ID, Owner string }

func (s *Session) encode(l *line) {
	l.name("session_id", s.ID)
	l.name("owner", s.Owner)
}

// Error is the error of a request that was refused or has failed. The message is not part of it,
// because it may quote params.
type Error struct {
	Code              int // 0 is no error
	Kind, Rule, Field string
}

func (e *Error) encode(l *line) {
	if e.Code == 0 {
		return
	}
	l.object("error", func() {
		l.number("code", int64(e.Code))
		l.name("kind", e.Kind)
		l.name("rule", e.Rule)
		l.name("field", e.Field)
	})
}

// Start is the start of the server.
type Start struct {
	Version string
	PID     int
	UID     int
	Listen  []string // the addresses
}

func (*Start) event() string { return "start" }
func (*Start) vital() bool   { return true }
func (e *Start) encode(l *line) {
	l.name("version", e.Version)
	l.number("pid", int64(e.PID))
	l.number("uid", int64(e.UID))
	l.list("listen", e.Listen, l.room()/16)
	commands := "program"
	if l.full {
		commands = "full"
	}
	l.name("commands", commands)
}

// Stop is the end of the server.
type Stop struct{}

func (*Stop) event() string { return "stop" }
func (*Stop) vital() bool   { return true }
func (*Stop) encode(*line)  {}

// Reload is an attempt to read a file of the configuration again.
type Reload struct {
	What  string // tokens, policy, audit, …
	File  string
	Error string // why the old configuration stays; "" if there is a new one
}

func (*Reload) event() string { return "reload" }
func (*Reload) vital() bool   { return true }
func (e *Reload) encode(l *line) {
	l.name("what", e.What)
	if e.File != "" {
		l.text("file", e.File, l.room()/16)
	}
	l.flag("ok", e.Error == "")
	if e.Error != "" {
		l.text("reason", e.Error, l.room()/16)
	}
}

// Connection is the begin of a connection, its end, or that a credential was presented on it.
type Connection struct {
	Caller
	Action   string // open, close or authenticate
	Path     string // of open
	Expires  time.Time
	Duration time.Duration // of close, without a Count
	Code     int           // of close: that of the close frame; 0 if there was none
	Reason   string        // of close
	Detail   string        // of authenticate: why the credential was refused
	Error    Error         // of authenticate
	Count    int           // see [Control]
}

// The actions of a [Connection].
const (
	ActionOpen         = "open"
	ActionClose        = "close"
	ActionAuthenticate = "authenticate"
)

func (*Connection) event() string { return "connection" }
func (*Connection) vital() bool   { return false }
func (e *Connection) encode(l *line) {
	l.name("action", e.Action)
	e.Caller.encode(l)
	l.name("path", e.Path)
	if !e.Expires.IsZero() {
		l.name("expires", e.Expires.UTC().Format(time.RFC3339))
	}
	if e.Action == ActionClose {
		if e.Count == 0 {
			l.float("duration", e.Duration.Seconds())
		}
		if e.Code != 0 {
			l.number("code", int64(e.Code))
		}
		l.name("reason", e.Reason)
	}
	l.name("detail", e.Detail)
	e.Error.encode(l)
	l.counted(e.Count)
}

// Refusal counts the refused requests of one peer in a second. They have no principal.
type Refusal struct {
	Peer   Peer
	Reason string
	Detail string // why the credential was refused, which the client does not learn
	Status int    // of HTTP; 0 if the connection was closed without a response
	Count  int
	// Reasons has how many there are of each detail, or of each reason without one. It is written if
	// there are several.
	Reasons map[string]int
}

func (*Refusal) event() string { return "refusal" }
func (*Refusal) vital() bool   { return false }
func (e *Refusal) encode(l *line) {
	e.Peer.encode(l)
	l.name("reason", e.Reason)
	l.name("detail", e.Detail)
	if e.Status != 0 {
		l.number("status", int64(e.Status))
	}
	l.number("count", int64(e.Count))
	if len(e.Reasons) > 1 {
		l.counts("reasons", e.Reasons)
	}
}

// Control is a request that changes a session. Refused requests are Controls too.
type Control struct {
	Caller
	Session
	Action string // PAUSE, RESUME, SIGNAL, RESIZE, CANCEL, write, forget
	Signal string
	To     string // of SIGNAL: leader or tree
	Error  Error
	Count  int // of the requests for which the line stands; 0 is a single one
}

func (*Control) event() string { return "control" }
func (*Control) vital() bool   { return false }
func (e *Control) encode(l *line) {
	l.name("action", e.Action)
	e.Caller.encode(l)
	e.Session.encode(l)
	l.name("signal", e.Signal)
	l.name("to", e.To)
	e.Error.encode(l)
	l.counted(e.Count)
}

// File is a request that reads or changes a file. Refused and failed requests are Files too.
type File struct {
	Caller
	Action string // read, write, create_directory, remove, copy
	Path   string // absolute; empty if the request has an error or the line stands for several paths
	To     string // of copy: the destination
	Error  Error
	Count  int // see [Control]
}

func (*File) event() string { return "file" }
func (*File) vital() bool   { return false }
func (e *File) encode(l *line) {
	l.name("action", e.Action)
	e.Caller.encode(l)
	l.text("path", e.Path, l.room()/4)
	l.text("to", e.To, l.room()/4)
	e.Error.encode(l)
	l.counted(e.Count)
}

// Attach is a request that reads a session.
type Attach struct {
	Caller
	Session
	Action string // attach, take, read, …: the method, or take for an attach with take
	Error  Error
	Count  int // see [Control]
}

func (*Attach) event() string { return "attach" }
func (*Attach) vital() bool   { return false }
func (e *Attach) encode(l *line) {
	l.name("action", e.Action)
	e.Caller.encode(l)
	e.Session.encode(l)
	e.Error.encode(l)
	l.counted(e.Count)
}
