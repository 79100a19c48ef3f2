package main

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
)

// openFilesTimeout bounds the wait for the shell that prints the limit of open files.
const openFilesTimeout = 2 * time.Second

// attributes are attributes of a process that its children inherit: the umask, the nice value and
// the soft limits.
type attributes struct {
	umask, nice int64
	soft        *rpc.SoftLimits
}

// ownAttributes returns the attributes that this process was started with.
func ownAttributes() (a attributes) {
	umask := syscall.Umask(0o77) // no system call only reads it
	syscall.Umask(umask)
	a.umask, a.nice = int64(umask), ownNice()
	a.soft = ownSoftLimits()
	return a
}

// addTo adds the attributes that the server can set to the params. A nice value below the server's
// minimum becomes that minimum. The server itself reduces soft limits to its hard limits.
func (a attributes) addTo(p *rpc.ExecuteParams, server rpc.Connected) {
	if hasCapability(server, "umask") {
		p.Umask = &a.umask
	}
	if hasCapability(server, "nice") {
		nice := max(a.nice, int64(server.Limits.MinNice))
		p.Nice = &nice
	}
	if hasCapability(server, "soft_limits") {
		p.SoftLimits = a.soft
	}
}

// softLimit returns n as a param.
func softLimit(n uint64) rpc.SoftLimit {
	const most = 1<<63 - 1
	return rpc.SoftLimit{Set: true, None: n >= most, Value: int64(n & most)}
}

// openFilesAtStart returns the soft limit of open files that this process was started with. The Go
// runtime raises it to one below the hard limit (syscall/rlimit.go), restores the original one in
// children, and does not export it: so a child prints it. If that fails, the result is the zero
// value, which leaves the limit to the server.
func openFilesAtStart() rpc.SoftLimit {
	var own syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own) != nil {
		return rpc.SoftLimit{}
	}
	if uint64(own.Cur) != uint64(own.Max)-1 { // the runtime has not raised it
		return softLimit(uint64(own.Cur))
	}
	ctx, cancel := context.WithTimeout(context.Background(), openFilesTimeout)
	defer cancel()
	sh := exec.CommandContext(ctx, "/bin/sh", "-c", "ulimit -Sn")
	sh.Env = []string{}
	text, err := sh.Output()
	if err != nil {
		return rpc.SoftLimit{}
	}
	if strings.TrimSpace(string(text)) == "unlimited" {
		return rpc.SoftLimit{Set: true, None: true}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 63)
	if err != nil {
		return rpc.SoftLimit{}
	}
	return softLimit(n)
}
