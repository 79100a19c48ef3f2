//go:build linux

package procfs

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	const rest = " 1 77 5 34817 -1 4194304 0 0 0 0 0 0 0 0 20 0 "
	for line, want := range map[string]Stat{
		"9 (sleep) S" + rest + "1 0 5 9":                         {'S', 1, 77, 5, unix.Mkdev(136, 1), 1, 5},
		"9 (a) R 1 2 (b)) Z" + rest + "1 0 18446744073709551615": {'Z', 1, 77, 5, unix.Mkdev(136, 1), 1, 1<<64 - 1},
		"9 (first thread ended) Z" + rest + "3 0 5":              {'Z', 1, 77, 5, unix.Mkdev(136, 1), 3, 5},
	} {
		got, err := parseStat([]byte(line))
		if err != nil || got != want || got.Alive() != (want.State == 'S' || want.Threads > 1) {
			t.Errorf("parseStat(%q) = %+v, %v, want %+v", line, got, err, want)
		}
	}
	for _, line := range []string{"", ")", "9 (x) S 1 2", "9 (x) S 1 x" + rest + "1", "9 (x) S" + rest + "1 0 -5",
		"9 (x) \x00" + rest + "1 0 5", "9 (x) SS" + rest + "1 0 5"} {
		if got, err := parseStat([]byte(line)); err == nil {
			t.Errorf("parseStat(%q) = %+v without an error", line, got)
		}
	}
}

func TestReadStat(t *testing.T) {
	own, err := ReadStat(os.Getpid())
	if err != nil || own.Group != unix.Getpgrp() || own.Parent != os.Getppid() || !own.Alive() {
		t.Errorf("own stat: %+v, %v", own, err)
	}
	thread, err := ReadThreadStat(os.Getpid(), os.Getpid())
	if err != nil || thread.Group != own.Group || thread.Start != own.Start {
		t.Errorf("stat of the first thread: %+v, %v", thread, err)
	}
	const maxPID = 1 << 22 // PID_MAX_LIMIT
	if s, err := ReadStat(maxPID + 1); err != nil || s != (Stat{}) || s.Alive() {
		t.Errorf("stat of a process that does not exist: %+v, %v", s, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("9 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21"))
	f.Add([]byte("Max realtime timeout      5 5 us\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseStat(text); err == nil && s.State == 0 {
			t.Errorf("parseStat(%q) has no state", text)
		}
		_ = parseRealtimeTimeout(text)
	})
}
