package landlock

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/runas"
)

func opens(name string, flags int) func(*tree) error {
	return func(tr *tree) error {
		path := name
		if !strings.HasPrefix(name, "/") {
			path = tr.dir + "/" + name // not cleaned: .. is part of some attempts
		}
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0o600)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}
}

// TestAlone makes the attempts of a command that has Landlock alone.
func TestAlone(t *testing.T) {
	needs(t, MinAlone)
	eachUser(t, func(t *testing.T, user *runas.User) {
		run(t, user, alone, aloneAttempts())
	})
}

func aloneAttempts() []attempt {
	const rd, wr, rw = unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR
	self := func(name string) func(*tree) error {
		return func(tr *tree) error { return opens("/proc/self/root"+tr.path(name), rd)(tr) }
	}
	attempts := []attempt{
		{"read", opens("r/file", rd), 0},
		{"read below", opens("r/sub/x/file", rd), 0},
		{"list", opens("r", rd|unix.O_DIRECTORY), 0},
		{"write", opens("w/file", rw), 0},
		{"truncate", opens("w/file", wr|unix.O_TRUNC), 0},
		{"create", opens("w/sub/x/new", wr|unix.O_CREAT|unix.O_EXCL), 0},
		{"fifo", opens("w/fifo", rw), 0},
		{"read through a link", opens("secret/link-r", rd), 0},
		{"null", opens("/dev/null", rw), 0},
		{"zero", opens("/dev/zero", rw), 0},
		{"full", opens("/dev/full", rw), 0},
		{"random", opens("/dev/random", rd), 0},
		{"urandom", opens("/dev/urandom", rd), 0},
		{"list /dev", opens("/dev", rd|unix.O_DIRECTORY), 0},
		{"own process", opens("/proc/self/status", rd), 0},
		{"library", opens("/etc/passwd", rd), 0},

		{"write outside", opens("r/file", wr), unix.EACCES},
		{"append outside", opens("r/file", rw|unix.O_APPEND), unix.EACCES},
		{"truncate outside by open for reading", opens("r/file", rd|unix.O_TRUNC), unix.EACCES},
		{"create outside", opens("r/new", wr|unix.O_CREAT|unix.O_EXCL), unix.EACCES},
		{"unnamed file outside", opens("r", wr|unix.O_TMPFILE), unix.EACCES},
		{"fifo outside", opens("r/fifo", rw), unix.EACCES},
		{"write outside through a link", opens("w/link-r", wr), unix.EACCES},
		{"write outside by ..", opens("w/../r/file", wr), unix.EACCES},
		{"write outside by a linked directory", opens("w/dir-r/file", wr), unix.EACCES},
		{"list above what is not listed", opens("", rd|unix.O_DIRECTORY), unix.EACCES},

		{"list state", opens("state", rd|unix.O_DIRECTORY), 0},
		{"list below state", opens("state/sub", rd|unix.O_DIRECTORY), 0},
		{"read state", opens("state/file", rd), unix.EACCES},
		{"read below state", opens("state/sub/x/file", rd), unix.EACCES},
		{"write state", opens("state/file", wr), unix.EACCES},
	}
	for _, place := range []string{"secret", "deny"} {
		attempts = append(attempts,
			attempt{"list " + place, opens(place, rd|unix.O_DIRECTORY), unix.EACCES},
			attempt{"list below " + place, opens(place+"/sub", rd|unix.O_DIRECTORY), unix.EACCES},
			attempt{"read " + place, opens(place+"/file", rd), unix.EACCES},
			attempt{"read below " + place, opens(place+"/sub/x/file", rd), unix.EACCES},
			attempt{"write " + place, opens(place+"/file", wr), unix.EACCES},
			attempt{"read " + place + " through a link", opens("w/link-"+place, rd), unix.EACCES},
			attempt{"read " + place + " by a linked directory", opens("r/dir-"+place+"/file", rd), unix.EACCES},
			attempt{"read " + place + " by ..", opens("w/../"+place+"/file", rd), unix.EACCES},
			attempt{"read " + place + " by the root of a process", self(place + "/file"), unix.EACCES},
		)
	}
	return attempts
}
