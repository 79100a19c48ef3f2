package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

func TestMachineFiles(t *testing.T) {
	t.Parallel()
	var m machine
	m.readStatus([]string{"Name:\trunnel", "CapEff:\t0000000080200000", "Seccomp:\t2", "Seccomp_filters:\t1"})
	m.readMounts([]string{
		"22 1 0:20 / / rw - ext4 /dev/sda rw",
		"23 22 0:21 / /proc ro,nosuid - proc proc rw",
		"24 23 0:22 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw",
		"25 23 0:23 /null /proc/kcore rw - tmpfs tmpfs rw",
		"26 22 0:24 / /process rw - tmpfs tmpfs rw",
		"short",
	})
	want := machine{SysAdmin: true, SetFCap: true, Seccomp: true, ReadOnlyProc: true, CoveredProc: []string{"/proc/kcore"}}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("%+v, want %+v", m, want)
	}
	m = machine{}
	m.readStatus([]string{"CapEff:\t000000007fdfffff", "Seccomp:\t0"})
	m.readMounts([]string{"23 22 0:21 / /proc rw,nosuid - proc proc rw"})
	if want := (machine{Chroot: true}); !reflect.DeepEqual(m, want) {
		t.Errorf("%+v, want %+v", m, want)
	}
	for want, lines := range map[string]string{
		"":               "0::/user.slice/user-1000.slice/session-2.scope\n1:name=systemd:/",
		"runnel.service": "1:cpu:/\n0::/system.slice/runnel.service",
		"old.service":    "3:name=systemd:/system.slice/old.service\n2:cpu:/",
	} {
		if got := unitOf(strings.Split(lines, "\n")); got != want {
			t.Errorf("%s: %q", lines, got)
		}
	}
	for id, want := range map[int]bool{0: true, 9: true, 10: false, 1000: true, 65534: false} {
		if mapped([]string{"         0     100000         10", "      1000       1000          1", ""}, id) != want {
			t.Error(id)
		}
	}
	if got := errnoName(&os.PathError{Op: "fork", Err: syscall.EOPNOTSUPP}); got != "EOPNOTSUPP" {
		t.Error(got)
	}
}

// TestExamineBubblewrap: the program is asked what it is. Its output is bounded. It is not parallel: a
// child of another test could have the script open for writing, which the kernel then does not execute.
func TestExamineBubblewrap(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bwrap")
	write := func(script string) {
		t.Helper()
		if err := os.WriteFile(program+".new", []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(program+".new", program); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want bubblewrapInfo) {
		t.Helper()
		want.Path = program
		b := examineBubblewrap(t.Context(), program)
		if b.Broken == "" {
			b.try(t.Context(), true)
		}
		if *b != want {
			t.Errorf("%+v, want %+v", *b, want)
		}
	}
	write(`case "$*" in
--version) echo "bubblewrap 1.2" ;;
--help) yes | head -c 1000000; echo " --bind-fd FD DEST" ;;
*--unshare-net*) echo "bwrap: no network" >&2; exit 1 ;;
*--unshare-user*--proc*) exit 2 ;;
*--unshare-user*) ;;
*) exit 3 ;;
esac`)
	expect(bubblewrapInfo{Version: "1.2", Errors: bubblewrapErrors{Network: "bwrap: no network", Processes: "exit status 2"}})
	write(`case "$*" in
--version) echo "bubblewrap 1.3" ;;
--help) echo " --bind-fd FD DEST" ;;
esac`)
	expect(bubblewrapInfo{Version: "1.3", BindFD: true})
	write("echo cannot load >&2; exit 127")
	expect(bubblewrapInfo{Broken: "cannot load"})
}
