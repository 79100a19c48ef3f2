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

// openFilesTime bounds the wait for the shell that tells the limit of open files.
const openFilesTime = 2 * time.Second

// attributes are what a command would inherit from this process: the umask, the nice value and the soft limits.
type attributes struct {
	umask, nice int64
	soft        *rpc.SoftLimits
}

// ownAttributes returns those that this process was started with.
func ownAttributes() (a attributes) {
	umask := syscall.Umask(0o77) // there is no call that only reads it
	syscall.Umask(umask)
	a.umask, a.nice = int64(umask), ownNice()
	a.soft = ownSoftLimits()
	return a
}

// add has the command on a server begin with the attributes that the server can set. Its nice value is the lowest that
// the server may set where this one is lower, as a soft limit is at most the server's hard one.
func (a attributes) add(p *rpc.ExecuteParams, server rpc.Connected) {
	if can(server, "umask") {
		p.Umask = &a.umask
	}
	if can(server, "nice") {
		nice := max(a.nice, int64(server.Limits.MinNice))
		p.Nice = &nice
	}
	if can(server, "soft_limits") {
		p.SoftLimits = a.soft
	}
}

// softLimit returns the wire form of n.
func softLimit(n uint64) rpc.SoftLimit {
	const most = 1<<63 - 1
	return rpc.SoftLimit{Set: true, None: n >= most, Value: int64(n & most)}
}

// openFilesAtStart is the soft limit of open files that this process was started with. The Go runtime raises it to one
// below the hard limit (syscall/rlimit.go) and restores the original one in children, but offers no way to read it: so a
// child reads it. If that fails, the zero value leaves the limit to the server.
func openFilesAtStart() rpc.SoftLimit {
	var own syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own) != nil {
		return rpc.SoftLimit{}
	}
	if uint64(own.Cur) != uint64(own.Max)-1 { // it was not raised
		return softLimit(uint64(own.Cur))
	}
	ctx, cancel := context.WithTimeout(context.Background(), openFilesTime)
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
