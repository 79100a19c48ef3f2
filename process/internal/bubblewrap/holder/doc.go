// Package holder is the process that keeps the namespaces of one sandbox: this executable once
// more, which bubblewrap executes when it has made them.
//
// A holder sends descriptors to its server over a socket, and exits when the server has closed the
// other end. It takes no input: it reads nothing but the end of that socket, ignores all signals,
// and is not dumpable, so that a command of the same user cannot trace it, read its memory or open
// its descriptors (ptrace(2), PR_SET_DUMPABLE). As the first process of a PID namespace it is the
// parent of orphans, which the kernel reaps since SIGCHLD is ignored (wait(2)); when it exits, the
// kernel kills all others (pid_namespaces(7)).
//
// All of this takes place while this package is initialized. Like package serverwatch it imports
// only syscall and unsafe, so that it comes before nearly all others: their initialization takes
// several times as long as what a holder does.
package holder

// Name and NameListen are the last argument of a holder. With NameListen it makes a TCP listener on
// 127.0.0.1.
const (
	Name       = "runnel-hold"
	NameListen = "runnel-hold-listen"
)

// Program is how the first argument of a holder begins: it is executed by a descriptor.
const Program = "/proc/self/fd/"

// Socket is the descriptor of the socket to the server, of type SOCK_SEQPACKET.
const Socket = 3

// Step is what a holder does. A holder that cannot do one sends a [Reply] with its number.
type Step byte

// The steps, in order. Done is that of a reply with descriptors.
const (
	Done Step = iota
	Isolate
	OpenRoot
	OpenPIDFD
	Listen
)

func (s Step) String() string {
	names := [...]string{"done", "isolate the holder", "open the root directory", "open a pidfd", "listen on 127.0.0.1"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown step"
}

// Reply is the message of a holder. With Step Done it comes with two descriptors, a pidfd of the
// holder and the root directory (O_PATH), and with NameListen a third one, the listener.
type Reply struct {
	Step  Step
	Errno uint32
}

const replyLength = 6

// version is the first byte of a reply.
const version = 1

func (r Reply) encode() [replyLength]byte {
	return [...]byte{version, byte(r.Step), byte(r.Errno), byte(r.Errno >> 8), byte(r.Errno >> 16), byte(r.Errno >> 24)}
}

// ParseReply is false for a message that no holder sends.
func ParseReply(message []byte) (r Reply, ok bool) {
	if len(message) != replyLength || message[0] != version || Step(message[1]) > Listen {
		return Reply{}, false
	}
	r.Step = Step(message[1])
	for i, b := range message[2:] {
		r.Errno |= uint32(b) << (8 * i)
	}
	return r, (r.Step == Done) == (r.Errno == 0)
}
