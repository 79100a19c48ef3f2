// Package untildeath is where a keeper waits for the death of its server.
//
// It does so while this package is initialized, which is before nearly all others of the program: the runtime takes
// packages in the order of their import paths as soon as what they import is initialized, and this one imports package
// syscall alone. The initialization of all that the server needs would take processor time and memory (docs/architecture.md has
// figures). It takes place when the server is dead.
package untildeath

// Name is argv[0] of a keeper.
const Name = "runnel-keeper"

// Input is the descriptor over which a keeper is told, see Told.
const Input = 3

// Told is what a keeper was told by its server until that died, nil in every other process. It is text in lines. The first
// one is the server's process id, a space and Charge. Others are "g PID STARTED" and "s PID STARTED" for a process group and
// a kernel session of which a leader was started, and "- PID" when it is over.
var Told *Words

// Words are what a keeper was told.
type Words struct {
	Charge []byte
	Groups []Group

	server int
	began  bool // Charge is complete
	line   []byte
}

// Group is a process group, or with Session a kernel session, by its leader.
type Group struct {
	PID     int
	Started uint64
	Session bool
}

// The longest first line, and the longest of the others.
const (
	maxCharge = 64 << 10
	maxLine   = 64
)

// Take adds a piece of the text, which may end anywhere. It is false for one that no server writes. After the first line it
// allocates nothing but room for groups.
func (w *Words) Take(text []byte) bool {
	for _, c := range text {
		switch {
		case c == '\n' && !w.began:
			if w.began = true; !w.head() {
				return false
			}
		case c == '\n':
			if !w.note() {
				return false
			}
			w.line = w.line[:0]
		case !w.began:
			w.Charge = append(w.Charge, c)
		default:
			w.line = append(w.line, c)
		}
		if len(w.Charge) > maxCharge || len(w.line) > maxLine {
			return false
		}
	}
	return true
}

// head splits the first line.
func (w *Words) head() bool {
	server, rest := number(w.Charge)
	w.server, w.Charge = int(server), rest
	return w.server > 0 && len(rest) > 0
}

// note takes one of the other lines.
func (w *Words) note() bool {
	if len(w.line) < 3 || w.line[1] != ' ' {
		return false
	}
	pid, rest := number(w.line[2:])
	started, _ := number(rest)
	g := Group{PID: int(pid), Started: started, Session: w.line[0] == 's'}
	for i := range w.Groups {
		if w.Groups[i].PID == g.PID {
			last := len(w.Groups) - 1
			w.Groups[i] = w.Groups[last]
			w.Groups = w.Groups[:last]
			break
		}
	}
	if w.line[0] != '-' && g.PID > 1 {
		w.Groups = append(w.Groups, g)
	}
	return true
}

// number reads digits up to a space, and returns what is behind that.
func number(text []byte) (n uint64, rest []byte) {
	for i, c := range text {
		if c == ' ' {
			return n, text[i+1:]
		}
		n = 10*n + uint64(c-'0')
	}
	return n, nil
}
