package seccomp

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// withAndWithout runs a benchmark on a thread without the filter, and on one with it.
func withAndWithout(b *testing.B, f func(b *testing.B)) {
	needsFilter(b)
	for name, filter := range map[string][]unix.SockFilter{"none": nil, "filter": Filter(Options{Landlock: true})} {
		b.Run(name, func(b *testing.B) { filtered(b, nil, filter, func() { f(b) }) })
	}
}

// BenchmarkCall makes a system call that is always allowed, and BenchmarkIoctl one whose arguments
// count.
func BenchmarkCall(b *testing.B) {
	withAndWithout(b, func(b *testing.B) {
		for b.Loop() {
			_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
	})
}

func BenchmarkIoctl(b *testing.B) {
	withAndWithout(b, func(b *testing.B) {
		for b.Loop() {
			_, _, _ = unix.RawSyscall(unix.SYS_IOCTL, invalid, unix.TCGETS, 0)
		}
	})
}

// BenchmarkOpen makes the most frequent call whose arguments count.
func BenchmarkOpen(b *testing.B) {
	withAndWithout(b, func(b *testing.B) {
		for b.Loop() {
			fd, err := unix.Openat(unix.AT_FDCWD, "/", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				b.Fatal(err)
			}
			_ = unix.Close(fd)
		}
	})
}

// BenchmarkTrue runs a program.
func BenchmarkTrue(b *testing.B) {
	withAndWithout(b, func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	for b.Loop() {
		if Filter(Options{Landlock: true}) == nil {
			b.Fatal("no filter")
		}
	}
}

// BenchmarkInstall installs a filter. The time includes the program's translation to machine code.
func BenchmarkInstall(b *testing.B) {
	needsFilter(b)
	filter := Filter(Options{Landlock: true})
	for b.Loop() {
		b.StopTimer()
		filtered(b, nil, nil, func() { // each thread gets one
			b.StartTimer()
			if errno := Install(filter); errno != 0 {
				b.Error(errno)
			}
			b.StopTimer()
		})
		b.StartTimer()
	}
}
