package main

import (
	"errors"
	"fmt"
	"time"
)

// bounds are what bounds a server, and the defaults of execute.
type bounds struct {
	MaxSessions        int           `help:"Sessions that run at once." default:"100" env:"RUNNEL_MAX_SESSIONS"`
	MaxConnections     int           `help:"Connections at once." default:"100" env:"RUNNEL_MAX_CONNECTIONS"`
	MaxUnauthenticated int           `help:"TCP connections at once that are not WebSockets, at most a quarter of RLIMIT_NOFILE; one more closes the oldest." default:"128" env:"RUNNEL_MAX_UNAUTHENTICATED"`
	MaxInFlight        int           `help:"Requests in flight on one connection." default:"1024" env:"RUNNEL_MAX_IN_FLIGHT"`
	MaxRetained        int           `help:"Ended sessions whose record and log are kept." default:"1000" env:"RUNNEL_MAX_RETAINED"`
	Retain             time.Duration `help:"How long they are kept." default:"5m" env:"RUNNEL_RETAIN"`
	ReplayBytes        int64         `help:"Newest output that each session keeps." default:"1MiB" type:"size" env:"RUNNEL_REPLAY_BYTES"`
	ReplayTotal        int64         `help:"Newest output that all sessions keep together." default:"256MiB" type:"size" env:"RUNNEL_REPLAY_TOTAL"`
	MaxMessageBytes    int64         `help:"Largest message taken." default:"1MiB" type:"size" env:"RUNNEL_MAX_MESSAGE_BYTES"`
	StreamTimeout      time.Duration `help:"Default of stream_timeout; 0 for none." default:"5m" env:"RUNNEL_STREAM_TIMEOUT"`
	Timeout            time.Duration `help:"Default of timeout; 0 for none." default:"0s" env:"RUNNEL_TIMEOUT"`
	StartTimeout       time.Duration `help:"Longest time until a command is executed, which its file system may hold up; 0 for none." default:"10s" env:"RUNNEL_START_TIMEOUT"`
	Grace              time.Duration `help:"Default of grace." default:"2s" env:"RUNNEL_GRACE"`
	Linger             time.Duration `help:"Default of linger; 0 for none." default:"5m" env:"RUNNEL_LINGER"`
	PingInterval       time.Duration `help:"Time between pings; a peer that neither sends nor reads anything for three is cut off." default:"20s" env:"RUNNEL_PING_INTERVAL"`
	WriteTimeout       time.Duration `help:"Longest time in which a peer takes no byte." default:"30s" env:"RUNNEL_WRITE_TIMEOUT"`
	Shell              string        `help:"What runs a string command, with -c: a POSIX shell." default:"/bin/sh" env:"RUNNEL_SHELL"`
	Containment        string        `help:"What holds process trees together: cgroup, marker, group, or auto for the strongest of them." enum:"auto,cgroup,marker,group" default:"auto" env:"RUNNEL_CONTAINMENT"`
	StateDir           string        `help:"Directory for what the next server needs to clean up after a crash; empty for none." default:"${state}" env:"RUNNEL_STATE_DIR"`
	Limit              limits        `help:"Limit of sessions that ask for none: cpu_seconds, memory_bytes, processes, open_files, file_bytes; may be given more than once." type:"limits" placeholder:"NAME=VALUE" env:"RUNNEL_LIMIT"`
	MaxLimit           limits        `help:"Largest limit that a session may have, and has that asks for none; may be given more than once." type:"limits" placeholder:"NAME=VALUE" env:"RUNNEL_MAX_LIMIT"`
	ReserveProcesses   int           `help:"How many processes and threads fewer than the server commands may have, where that can be enforced." default:"32" env:"RUNNEL_RESERVE_PROCESSES"`
	OOMScoreAdj        int           `name:"oom-score-adj" help:"oom_score_adj of commands, 0 to 1000, where it is higher than the server's own: the kernel ends them first when memory is exhausted." default:"500" env:"RUNNEL_OOM_SCORE_ADJ"`
	Drain              time.Duration `help:"What sessions have at shutdown before they are ended." default:"5s" env:"RUNNEL_DRAIN"`
}

// Validate implements kong's check of values.
func (b *bounds) Validate() error {
	for name, v := range map[string]int64{
		"max-sessions": int64(b.MaxSessions), "max-connections": int64(b.MaxConnections), "max-unauthenticated": int64(b.MaxUnauthenticated), "max-in-flight": int64(b.MaxInFlight),
		"replay-bytes": b.ReplayBytes, "replay-total": b.ReplayTotal, "max-message-bytes": b.MaxMessageBytes,
		"ping-interval": int64(b.PingInterval), "write-timeout": int64(b.WriteTimeout),
	} {
		if v <= 0 {
			return fmt.Errorf("--%s must be more than 0", name)
		}
	}
	for name, v := range map[string]int64{
		"retain": int64(b.Retain), "stream-timeout": int64(b.StreamTimeout), "timeout": int64(b.Timeout),
		"grace": int64(b.Grace), "linger": int64(b.Linger), "drain": int64(b.Drain), "start-timeout": int64(b.StartTimeout), "max-retained": int64(b.MaxRetained),
	} {
		if v < 0 {
			return fmt.Errorf("--%s must not be negative", name)
		}
	}
	if b.ReserveProcesses < 0 {
		return errors.New("--reserve-processes must not be negative")
	}
	if b.OOMScoreAdj < 0 || b.OOMScoreAdj > 1000 {
		return errors.New("--oom-score-adj must be 0 to 1000")
	}
	if b.Shell == "" {
		return errors.New("--shell must not be empty")
	}
	for name, value := range b.Limit {
		if most, ok := b.MaxLimit[name]; ok && value > most {
			return fmt.Errorf("--limit %s=%d is more than --max-limit %s=%d", name, value, name, most)
		}
	}
	return nil
}

// ownBounds are those of a server that serves this process one command. Nothing is kept for later. Its one
// client is never taken for dead, however long Ctrl-Z or `| less` holds it up; and an execute may be as large
// as exec(2) takes arguments, six times over because JSON may swell each byte to six.
var ownBounds = bounds{
	MaxSessions:        1,
	MaxConnections:     1,
	MaxUnauthenticated: 1,
	MaxInFlight:        1024,
	ReplayBytes:        1 << 20,
	ReplayTotal:        1 << 20,
	MaxMessageBytes:    64 << 20,
	StartTimeout:       10 * time.Second,
	Grace:              2 * time.Second,
	PingInterval:       years,
	WriteTimeout:       years,
	Shell:              "/bin/sh",
}

const years = 10 * 365 * 24 * time.Hour
