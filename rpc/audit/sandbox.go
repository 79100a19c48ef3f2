package audit

// AskedSandbox is the sandbox that an execute asks for. Empty members were left out.
type AskedSandbox struct {
	Profile      string
	Files        []string // the access and the path of each rule, as in "write /home/alice"
	FilesDefault string
	Network      string
	Allow        []string // destinations
	Processes    string
	Tmp          string
	UnixSockets  string
	Metadata     string
}

func (s *AskedSandbox) encode(l *line) {
	if s == nil {
		return
	}
	l.object("sandbox", func() {
		l.word("profile", s.Profile)
		if len(s.Files) > 0 {
			l.list("files", s.Files, l.room()/8)
		}
		l.word("files_default", s.FilesDefault)
		l.word("network", s.Network)
		if len(s.Allow) > 0 {
			l.list("allow", s.Allow, l.room()/16)
		}
		l.word("processes", s.Processes)
		l.word("tmp", s.Tmp)
		l.word("unix_sockets", s.UnixSockets)
		l.word("metadata", s.Metadata)
	})
}

// Sandbox is of what a sandbox was made, and what it enforces. By is the mechanism, "" if there is nothing to enforce.
type Sandbox struct {
	Profile                        string   // that was asked for, or read-only
	Floor                          []string // profiles that are required
	FilesBy, FilesDefault          string
	NetworkBy, NetworkMode         string
	ProcessesBy, ProcessesMode     string
	TmpBy, TmpMode                 string
	UnixSocketsBy, UnixSocketsMode string
	MetadataBy, MetadataMode       string
}

func (s *Sandbox) encode(l *line) {
	if s == nil {
		return
	}
	l.object("sandbox", func() {
		l.word("profile", s.Profile)
		if len(s.Floor) > 0 {
			l.list("floor", s.Floor, l.room()/16)
		}
		l.object("files", func() {
			l.word("by", s.FilesBy)
			l.word("default", s.FilesDefault)
		})
		for _, part := range []struct{ name, by, mode string }{
			{"network", s.NetworkBy, s.NetworkMode},
			{"processes", s.ProcessesBy, s.ProcessesMode},
			{"tmp", s.TmpBy, s.TmpMode},
			{"unix_sockets", s.UnixSocketsBy, s.UnixSocketsMode},
			{"metadata", s.MetadataBy, s.MetadataMode},
		} {
			l.object(part.name, func() {
				l.word("by", part.by)
				l.word("mode", part.mode)
			})
		}
	})
}

// maxWord is how many bytes of a text are kept that is one of a few words, or the name of a profile.
const maxWord = 64

// word adds such a text, unless it is empty.
func (l *line) word(key, s string) {
	if s != "" {
		l.text(key, s, maxWord)
	}
}

// Destination is a network destination that a command in a sandbox has used or tried.
type Destination struct {
	Session
	Host     string
	Port     int
	Address  string // that was connected to, or for which it was refused; "" if there is none
	Reason   string // why it was refused; "" if it was permitted
	Final    bool   // the command has ended; else it is the first use
	Count    int64  // of connections, or attempts
	Failed   int64  // of Count, that could not be connected
	Up, Down int64  // bytes
}

func (*Destination) event() string { return "destination" }
func (*Destination) vital() bool   { return false }
func (e *Destination) encode(l *line) {
	l.name("principal", e.Owner)
	e.Session.encode(l)
	l.name("host", e.Host)
	l.number("port", int64(e.Port))
	l.name("address", e.Address)
	l.name("reason", e.Reason)
	l.flag("final", e.Final)
	if !e.Final {
		return
	}
	l.number("count", e.Count)
	if e.Reason == "" {
		l.number("failed", e.Failed)
		l.number("up_bytes", e.Up)
		l.number("down_bytes", e.Down)
	}
}
