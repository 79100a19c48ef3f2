package audit

// Execute is a request to run a command. If it has an error, no session was made. Otherwise a
// Started follows if the command runs, and one End in any case.
type Execute struct {
	Caller
	Session
	Name     string   // that the session has, or would have got; "" is none
	Program  string   // "" if the params could not be decoded
	Argv     []string // with the program; only with Options.FullCommands
	Shell    string   // what the shell runs, instead of Argv
	ByShell  bool     // the program is a shell that runs a string
	Dir      string   // "" is that of the server
	Set      []string // names of variables
	Unset    []string
	User     string // that was asked for
	Limits   []Limit
	Terminal bool
	Sandbox  *AskedSandbox // nil if it asks for none
	TraceID  string        // of the caller's trace
	ParentID string        // of its span
	Error    Error
	Count    int // see [Control]
}

// Limit is a limit that was asked for.
type Limit struct {
	Name  string
	Value float64
}

func (*Execute) event() string { return "execute" }
func (e *Execute) vital() bool { return e.Error.Code == 0 }
func (e *Execute) encode(l *line) {
	e.Caller.encode(l)
	e.Session.encode(l)
	l.name("name", e.Name)
	if e.Program != "" {
		e.encodeCommand(l)
	}
	if e.Dir != "" {
		l.text("cwd", e.Dir, l.room()/16)
	}
	if len(e.Set) > 0 {
		l.list("env", e.Set, l.room()/8)
	}
	if len(e.Unset) > 0 {
		l.list("env_unset", e.Unset, l.room()/16)
	}
	l.name("user", e.User)
	if len(e.Limits) > 0 {
		l.object("limits", func() {
			for _, limit := range e.Limits {
				l.float(limit.Name, limit.Value)
			}
		})
	}
	if e.Terminal {
		l.flag("pty", true)
	}
	e.Sandbox.encode(l)
	l.name("trace_id", e.TraceID)
	l.name("parent_id", e.ParentID)
	e.Error.encode(l)
	l.counted(e.Count)
}

func (e *Execute) encodeCommand(l *line) {
	l.text("program", e.Program, l.room()/16)
	l.flag("shell", e.ByShell)
	switch {
	case !l.full:
	case e.ByShell:
		l.text("command", e.Shell, l.room()/2)
	default:
		l.list("argv", e.Argv, l.room()/2)
	}
}

// Started is that the command of a session runs.
type Started struct {
	Session
	PID         int
	Containment string
	Sandbox     *Sandbox // nil without one
}

func (*Started) event() string { return "started" }
func (*Started) vital() bool   { return true }
func (e *Started) encode(l *line) {
	l.name("principal", e.Owner)
	e.Session.encode(l)
	l.number("pid", int64(e.PID))
	l.name("containment", e.Containment)
	e.Sandbox.encode(l)
}

// End is the end of a session. Its members are those of the completion record, or if the command
// did not run, only an error.
type End struct {
	Session
	Error  Error // why the command did not run
	Record *Record
}

// Record is a completion record.
type Record struct {
	Status, Reason, Limit   string
	ExitCode                *int
	Signal                  *string
	PID                     int
	Escalated               bool
	Survivors               []int
	SurvivorsVerified       bool
	ExecutionTime           float64 // seconds
	UserTime, SystemTime    *float64
	MaxRSSBytes             *int64
	Stdout, Stderr, PTY     int64 // bytes
	TruncatedLines          int64
	DroppedBytes, LostBytes int64
	DeniedMore              int64 // attempts at destinations that are not in the record; Destinations have the others
}

func (*End) event() string { return "end" }
func (*End) vital() bool   { return true }
func (e *End) encode(l *line) {
	l.name("principal", e.Owner)
	e.Session.encode(l)
	if e.Record != nil {
		e.Record.encode(l)
	}
	e.Error.encode(l)
}

func (r *Record) encode(l *line) {
	l.name("status", r.Status)
	l.name("reason", r.Reason)
	l.name("limit", r.Limit)
	orNull(l, "exit_code", r.ExitCode, func(n int) { l.number("exit_code", int64(n)) })
	orNull(l, "signal", r.Signal, func(s string) { l.text("signal", s, maxName) })
	l.number("pid", int64(r.PID))
	l.flag("escalated", r.Escalated)
	l.numbers("survivors", r.Survivors)
	l.flag("survivors_verified", r.SurvivorsVerified)
	l.float("execution_time", r.ExecutionTime)
	l.object("usage", func() {
		orNull(l, "user_time", r.UserTime, func(f float64) { l.float("user_time", f) })
		orNull(l, "system_time", r.SystemTime, func(f float64) { l.float("system_time", f) })
		orNull(l, "max_rss_bytes", r.MaxRSSBytes, func(n int64) { l.number("max_rss_bytes", n) })
	})
	l.object("output", func() {
		l.number("stdout_bytes", r.Stdout)
		l.number("stderr_bytes", r.Stderr)
		l.number("pty_bytes", r.PTY)
		l.number("truncated_lines", r.TruncatedLines)
		l.number("dropped_bytes", r.DroppedBytes)
		l.number("lost_bytes", r.LostBytes)
	})
	if r.DeniedMore > 0 {
		l.object("sandbox", func() { l.number("denied_more", r.DeniedMore) })
	}
}

// orNull adds a value, or null.
func orNull[T any](l *line, key string, v *T, add func(T)) {
	if v == nil {
		l.null(key)
	} else {
		add(*v)
	}
}

// lost counts lines that are not in the log.
type lost struct {
	count       int64
	first, last uint64 // sequence numbers
}

func (*lost) event() string { return "lost" }
func (*lost) vital() bool   { return true }
func (e *lost) encode(l *line) {
	l.number("count", e.count)
	l.number("first_seq", int64(e.first))
	l.number("last_seq", int64(e.last))
}
