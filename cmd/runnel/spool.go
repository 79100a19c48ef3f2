package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/spool"
)

// spoolFlags are the flags of serve for what is kept on the disk.
type spoolFlags struct {
	SpoolDir      string        `help:"Directory in which the output and the records of sessions are kept, also beyond the end of the server; empty for none." default:"${spool}" env:"RUNNEL_SPOOL_DIR"`
	SpoolBytes    int64         `help:"Maximum size of the output that is kept on the disk of a session; beyond it the oldest is removed." default:"1GiB" type:"size" env:"RUNNEL_SPOOL_BYTES"`
	SpoolTotal    int64         `help:"Maximum size of what is kept on the disk of all sessions together, at most a tenth of what is free when the server starts." default:"8GiB" type:"size" env:"RUNNEL_SPOOL_TOTAL"`
	SpoolRetain   time.Duration `help:"How long an ended session is kept on the disk." default:"24h" env:"RUNNEL_SPOOL_RETAIN"`
	SpoolSessions int           `help:"Maximum number of sessions that are kept on the disk." default:"100000" env:"RUNNEL_SPOOL_SESSIONS"`
}

func (f *spoolFlags) check() error {
	for name, v := range map[string]int64{
		"spool-bytes": f.SpoolBytes, "spool-total": f.SpoolTotal, "spool-retain": int64(f.SpoolRetain),
		"spool-sessions": int64(f.SpoolSessions),
	} {
		if v <= 0 {
			return fmt.Errorf("--%s must be greater than 0", name)
		}
	}
	return nil
}

// defaultSpoolDir returns $STATE_DIRECTORY/spool (systemd.exec(5)), or ~/.local/state/runnel/spool, or "" if
// there is no home directory either.
func defaultSpoolDir() string {
	dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	if filepath.IsAbs(dir) {
		return filepath.Join(dir, "spool")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "state", "runnel", "spool")
}

// openSpool opens the spool, or returns nil if there is none. The default directory may be unusable: it
// may be in memory, read-only, or that of another server; then the server works without a spool.
func (c *serveCmd) openSpool(log zerolog.Logger) (*spool.Spool, error) {
	if c.SpoolDir == "" {
		if defaultSpoolDir() == "" {
			log.Warn().Msg("nothing is kept on the disk: there is no home directory for the spool; set --spool-dir")
		}
		return nil, nil
	}
	s, err := c.openSpoolDir(log)
	if err != nil && c.SpoolDir == defaultSpoolDir() {
		log.Warn().Err(err).Str("spool", c.SpoolDir).Msg("nothing is kept on the disk: set --spool-dir to another directory, or to nothing")
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--spool-dir: %w", err)
	}
	return s, nil
}

// windowPerSession is how much of the window a session may take besides its share of the replay memory. The
// window is sparse: of that part, only what is written takes space.
const windowPerSession = 256 << 10

// errInMemory means that the default directory is in a file system that does not outlive the machine.
var errInMemory = errors.New("the file system is in memory")

func (c *serveCmd) openSpoolDir(log zerolog.Logger) (*spool.Spool, error) {
	if err := os.MkdirAll(c.SpoolDir, 0o700); err != nil {
		return nil, err
	}
	if err := checkSpoolDir(c.SpoolDir); err != nil {
		return nil, err
	}
	fs, err := statFS(c.SpoolDir)
	if err != nil {
		return nil, err
	}
	if fs.inMemory {
		if c.SpoolDir == defaultSpoolDir() {
			return nil, errInMemory
		}
		log.Warn().Str("spool", c.SpoolDir).Msg("--spool-dir is in memory: what is kept there takes memory, and is lost with the machine")
	}
	return spool.Open(c.SpoolDir, spool.Options{
		SessionBytes: c.SpoolBytes,
		TotalBytes:   c.SpoolTotal,
		FreeBytes:    fs.free,
		Retain:       c.SpoolRetain,
		MaxSessions:  c.SpoolSessions,
		WindowBytes:  2*c.ReplayTotal + int64(c.MaxSessions)*windowPerSession,
		Lost:         session.LostRecord,
		Log:          log,
	})
}

// checkSpoolDir checks that nobody else can have put files into the directory. Open then makes it
// inaccessible to others.
func checkSpoolDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if err := checkOwnDir(info); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}

// checkOwnDir checks that a directory belongs to this user, and that nobody else may write it.
func checkOwnDir(info os.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("mode is %04o: only its owner may have the permission to write it", mode)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to the user %d: it must belong to this user", st.Uid)
	}
	return nil
}
