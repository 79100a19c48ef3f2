// Package serverwatch is where the keeper process waits for its server to exit.
//
// The wait takes place while this package is initialized. Go initializes packages in the order of
// their import paths as soon as their imports are initialized. This package imports only syscall
// and unsafe, so it comes before nearly all others: they are not initialized in a waiting keeper, which
// saves memory (docs/architecture.md has figures). After the server has exited, the initialization
// continues.
package serverwatch

// Name is argv[0] of a keeper.
const Name = "runnel-keeper"

// Input is the descriptor of the pipe from which a keeper reads.
const Input = 3

// Received is what this keeper read from its server before the server exited. It is nil in every
// other process.
//
// The input is text in lines. The first line is the server's process id, a space, and the keeper's
// configuration. Each further line is "g PID STARTED" or "s PID STARTED" for a process group or a
// kernel session whose leader has started, or "- PID" for one that has ended.
var Received *State

// State is what a keeper has read from its server.
type State struct {
	Config []byte
	Groups []Group

	server     int
	configured bool // Config is complete
	line       []byte
}

// Group is a process group, or with Session a kernel session, named by its leader.
type Group struct {
	PID     int
	Started uint64 // start time of the leader, in clock ticks since boot
	Session bool
}

const (
	maxConfig = 64 << 10 // length of the first line
	maxLine   = 64       // length of every other line
)

// Parse adds a piece of the input, which may end anywhere. It returns false for malformed input.
// After the first line it allocates only Groups.
func (s *State) Parse(text []byte) bool {
	for _, c := range text {
		switch {
		case c == '\n' && !s.configured:
			if s.configured = true; !s.parseConfig() {
				return false
			}
		case c == '\n':
			if !s.parseGroup() {
				return false
			}
			s.line = s.line[:0]
		case !s.configured:
			s.Config = append(s.Config, c)
		default:
			s.line = append(s.line, c)
		}
		if len(s.Config) > maxConfig || len(s.line) > maxLine {
			return false
		}
	}
	return true
}

// parseConfig splits the first line.
func (s *State) parseConfig() bool {
	server, rest := parseNumber(s.Config)
	s.server, s.Config = int(server), rest
	return s.server > 0 && len(rest) > 0
}

// parseGroup parses one of the other lines.
func (s *State) parseGroup() bool {
	if len(s.line) < 3 || s.line[1] != ' ' {
		return false
	}
	pid, rest := parseNumber(s.line[2:])
	started, _ := parseNumber(rest)
	g := Group{PID: int(pid), Started: started, Session: s.line[0] == 's'}
	for i := range s.Groups {
		if s.Groups[i].PID == g.PID {
			last := len(s.Groups) - 1
			s.Groups[i] = s.Groups[last]
			s.Groups = s.Groups[:last]
			break
		}
	}
	if s.line[0] != '-' && g.PID > 1 {
		s.Groups = append(s.Groups, g)
	}
	return true
}

// parseNumber parses digits up to a space, and returns the text after the space.
func parseNumber(text []byte) (n uint64, rest []byte) {
	for i, c := range text {
		if c == ' ' {
			return n, text[i+1:]
		}
		n = 10*n + uint64(c-'0')
	}
	return n, nil
}
