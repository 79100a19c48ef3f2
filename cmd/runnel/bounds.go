package main

import (
	"errors"
	"fmt"
	"time"
)

// bounds are the flags that bound a server, and the defaults of execute.
type bounds struct {
	MaxSessions        int           `help:"Maximum number of running sessions." default:"100" env:"RUNNEL_MAX_SESSIONS"`
	MaxQueued          int           `help:"Maximum number of sessions that wait for a slot." default:"1000" env:"RUNNEL_MAX_QUEUED"`
	MaxStartsPerSecond float64       `help:"Maximum number of sessions that begin in a second; 0 for no limit." default:"10000" env:"RUNNEL_MAX_STARTS_PER_SECOND"`
	MaxConnections     int           `help:"Maximum number of connections." default:"100" env:"RUNNEL_MAX_CONNECTIONS"`
	MaxUnauthenticated int           `help:"Maximum number of TCP connections without a WebSocket, at most a quarter of RLIMIT_NOFILE; another one closes the oldest." default:"128" env:"RUNNEL_MAX_UNAUTHENTICATED"`
	MaxProxied         int           `help:"Maximum number of connections that commands in sandboxes have to their proxies, at most an eighth of RLIMIT_NOFILE; each has two descriptors." name:"max-proxy-connections" default:"1024" env:"RUNNEL_MAX_PROXY_CONNECTIONS"`
	SandboxTmp         int64         `help:"Size of each of the private /tmp, /var/tmp and /dev/shm of a command in a sandbox, which are in memory." name:"sandbox-tmp-bytes" default:"1GiB" type:"size" env:"RUNNEL_SANDBOX_TMP_BYTES"`
	MaxInFlight        int           `help:"Maximum number of requests in flight on a connection." default:"1024" env:"RUNNEL_MAX_IN_FLIGHT"`
	MaxRetained        int           `help:"Maximum number of ended sessions whose record and log are kept." default:"1000" env:"RUNNEL_MAX_RETAINED"`
	Retain             time.Duration `help:"How long the record and log of an ended session are kept." default:"5m" env:"RUNNEL_RETAIN"`
	ReplayBytes        int64         `help:"Size of the newest output that is kept of a session." default:"1MiB" type:"size" env:"RUNNEL_REPLAY_BYTES"`
	ReplayTotal        int64         `help:"Size of the output that is kept of all sessions together." default:"256MiB" type:"size" env:"RUNNEL_REPLAY_TOTAL"`
	MaxMessageBytes    int64         `help:"Maximum size of a message from a client." default:"1MiB" type:"size" env:"RUNNEL_MAX_MESSAGE_BYTES"`
	StreamTimeout      time.Duration `help:"Default of stream_timeout; 0 for none." default:"5m" env:"RUNNEL_STREAM_TIMEOUT"`
	Timeout            time.Duration `help:"Default of timeout; 0 for none." default:"0s" env:"RUNNEL_TIMEOUT"`
	StartTimeout       time.Duration `help:"Maximum time until a command is executed, which a file system may block; 0 for none." default:"10s" env:"RUNNEL_START_TIMEOUT"`
	Grace              time.Duration `help:"Default of grace." default:"2s" env:"RUNNEL_GRACE"`
	Linger             time.Duration `help:"Default of linger; 0 for none." default:"5m" env:"RUNNEL_LINGER"`
	PingInterval       time.Duration `help:"Time between pings; a connection on which a client neither sends nor reads anything for three of them is closed." default:"20s" env:"RUNNEL_PING_INTERVAL"`
	WriteTimeout       time.Duration `help:"Maximum time for which a client accepts no bytes." default:"30s" env:"RUNNEL_WRITE_TIMEOUT"`
	Shell              string        `help:"POSIX shell that runs command strings, with -c." default:"/bin/sh" env:"RUNNEL_SHELL"`
	Containment        string        `help:"Containment of process trees: cgroup, marker, group, or auto for the strongest that is available." enum:"auto,cgroup,marker,group" default:"auto" env:"RUNNEL_CONTAINMENT"`
	StateDir           string        `help:"Directory for the state that the next server needs to clean up after a crash; empty for none." default:"${state}" env:"RUNNEL_STATE_DIR"`
	Limit              limits        `help:"Default limit of sessions: cpu_seconds, memory_bytes, processes, open_files, file_bytes; may be repeated." type:"limits" placeholder:"NAME=VALUE" env:"RUNNEL_LIMIT"`
	MaxLimit           limits        `help:"Maximum limit of sessions, and the default if there is no --limit; may be repeated." type:"limits" placeholder:"NAME=VALUE" env:"RUNNEL_MAX_LIMIT"`
	ReserveProcesses   int           `help:"Number of processes and threads that are reserved for the server, if that can be enforced." default:"32" env:"RUNNEL_RESERVE_PROCESSES"`
	OOMScoreAdj        int           `name:"oom-score-adj" help:"oom_score_adj of commands, 0 to 1000, if it is higher than the server's: when memory is exhausted, the kernel kills them first." default:"500" env:"RUNNEL_OOM_SCORE_ADJ"`
	Drain              time.Duration `help:"How long sessions may continue at shutdown before they are ended." default:"5s" env:"RUNNEL_DRAIN"`
}

// Validate implements kong's check of values.
func (b *bounds) Validate() error {
	for name, v := range map[string]int64{
		"max-sessions": int64(b.MaxSessions), "max-connections": int64(b.MaxConnections), "max-unauthenticated": int64(b.MaxUnauthenticated),
		"max-proxy-connections": int64(b.MaxProxied), "sandbox-tmp-bytes": b.SandboxTmp, "max-in-flight": int64(b.MaxInFlight),
		"replay-bytes": b.ReplayBytes, "replay-total": b.ReplayTotal, "max-message-bytes": b.MaxMessageBytes,
		"ping-interval": int64(b.PingInterval), "write-timeout": int64(b.WriteTimeout),
	} {
		if v <= 0 {
			return fmt.Errorf("--%s must be greater than 0", name)
		}
	}
	for name, v := range map[string]int64{
		"retain": int64(b.Retain), "stream-timeout": int64(b.StreamTimeout), "timeout": int64(b.Timeout),
		"grace": int64(b.Grace), "linger": int64(b.Linger), "drain": int64(b.Drain), "start-timeout": int64(b.StartTimeout), "max-retained": int64(b.MaxRetained),
		"max-queued": int64(b.MaxQueued),
	} {
		if v < 0 {
			return fmt.Errorf("--%s must not be negative", name)
		}
	}
	if !(b.MaxStartsPerSecond >= 0) { // NaN too
		return errors.New("--max-starts-per-second must not be negative")
	}
	if b.ReserveProcesses < 0 {
		return errors.New("--reserve-processes must not be negative")
	}
	if b.OOMScoreAdj < 0 || b.OOMScoreAdj > 1000 {
		return errors.New("--oom-score-adj must be from 0 to 1000")
	}
	if b.Shell == "" {
		return errors.New("--shell must not be empty")
	}
	for name, value := range b.Limit {
		if most, ok := b.MaxLimit[name]; ok && value > most {
			return fmt.Errorf("--limit %s=%d exceeds --max-limit %s=%d", name, value, name, most)
		}
	}
	return nil
}

// inProcessBounds are the bounds of the server in a `run`, which has one client and one session.
// Nothing is kept after the end. There is no timeout of the client, which Ctrl-Z or `| less` may
// block for any time. A message may contain the largest arguments of execve(2), each byte of which
// JSON may escape with six.
var inProcessBounds = bounds{
	MaxSessions:        1,
	MaxConnections:     1,
	MaxUnauthenticated: 1,
	MaxProxied:         64,
	SandboxTmp:         1 << 30,
	MaxInFlight:        1024,
	ReplayBytes:        1 << 20,
	ReplayTotal:        1 << 20,
	MaxMessageBytes:    64 << 20,
	StartTimeout:       10 * time.Second,
	Grace:              2 * time.Second,
	PingInterval:       unlimited,
	WriteTimeout:       unlimited,
	Shell:              "/bin/sh",
}

const unlimited = 10 * 365 * 24 * time.Hour
