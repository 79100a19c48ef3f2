//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// serveOnTmpfs starts a server whose spool is in a tmpfs of 10 MiB of its own, and returns the directory, as
// it is to be named outside.
func (p *testDir) serveOnTmpfs(t *testing.T) (x *program, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		skipUnlessRequired(t, "root", "a file system cannot be mounted")
	}
	if err := exec.Command("unshare", "-m", "true").Run(); err != nil {
		t.Skipf("SKIPPED: no mount namespace: %v", err)
	}
	makeDir(t, p.path("disk"), 0o700)
	x = p.start(t, "unshare", "-m", "sh", "-c",
		"mount -t tmpfs -o size=10m,mode=700 none disk && exec runnel serve --listen=127.0.0.1:0 --ready-file=ready --spool-dir=disk/spool")
	t.Cleanup(func() { x.signalUntilExit(syscall.SIGTERM) })
	return x, fmt.Sprintf("/proc/%d/root%s", x.awaitReady().PID, p.path("disk"))
}

// TestSpoolOnAFullDisk: when the disk is full, sessions continue, their clients are told, and others start.
func TestSpoolOnAFullDisk(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, disk := p.serveOnTmpfs(t)
	c := dialSocket(t, p.socket())
	told := make(chan rpc.Spool, 10)
	var output bytes.Buffer
	s, err := c.Execute(t.Context(), rpc.ExecuteParams{
		Command:   rpc.Command{Shell: "seq 1000; read line; seq 1001 1000000"},
		Stdin:     rpc.StdinPipe,
		SessionID: uuid.NewString(),
	}, client.Events{
		Output: func(o *client.Output) { output.Write(o.Data) },
		Raw: func(b []byte) {
			var m struct {
				Method string
				Params rpc.Spool
			}
			if err := json.Unmarshal(b, &m); err == nil && m.Method == rpc.NotifySpool {
				told <- m.Params
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(disk, "filler"))
	if err := c.Call(t.Context(), rpc.MethodWrite, rpc.WriteParams{SessionID: s.ID(), Data: new("\n")}, nil); err != nil {
		t.Fatal(err)
	}
	record, err := s.Wait(t.Context())
	if err != nil || record.ExitCode == nil || *record.ExitCode != 0 {
		t.Fatalf("%+v, %v", record, err)
	}
	checkSequence(t, output.String())
	if n := strings.Count(output.String(), "\n"); n != 1000000 {
		t.Errorf("%d lines", n)
	}
	select {
	case e := <-told:
		if e.State != "stopped" || e.Reason != "full" || e.SessionID != s.ID() {
			t.Errorf("%+v", e)
		}
	default:
		t.Error("the client was not told")
	}
	server.awaitStderr("no space left on device")
	for range 3 {
		x := p.runnel(t, "run", "echo", "next")
		x.expectLine("next")
		x.expectExit(0)
	}
	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	var status rpc.StatusResult
	later, err := c.Execute(t.Context(), rpc.ExecuteParams{Command: rpc.Command{Shell: "echo later"}}, client.Events{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := later.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	err = c.Call(t.Context(), rpc.MethodStatus, rpc.SessionParams{SessionID: later.ID()}, &status)
	if err != nil || status.Spool == nil || status.Spool.State != "kept" {
		t.Errorf("with free space again: %+v, %v", status.Spool, err)
	}
	server.signal(syscall.SIGTERM)
	server.expectExit(0)
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 1<<20); len(b) > 0; {
		if _, err := f.Write(b); err != nil {
			b = b[:len(b)/2]
		}
	}
}

// damaged is what happens to a file of the spool.
var damaged = map[string]func(path string, size int64) error{
	"truncated": func(path string, size int64) error { return os.Truncate(path, size*2/3) },
	"empty":     func(path string, _ int64) error { return os.Truncate(path, 0) },
	"corrupted": func(path string, size int64) error { return overwrite(path, size/2, 100) },
	"foreign":   func(path string, size int64) error { return overwrite(path, 0, size) },
	"removed":   func(path string, _ int64) error { return os.Remove(path) },
}

func overwrite(path string, at, n int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(bytes.Repeat([]byte("foreign "), int(n/8+1))[:n], at)
	_ = f.Close()
	return err
}

// TestDamagedSpool: a server starts whatever has happened to a file of the spool, and runs new sessions;
// what it returns of the earlier ones is true. Files of others are left alone.
func TestDamagedSpool(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"journal-*", "window", "output/*", "lock", "key"} {
		for name, damage := range damaged {
			if pattern == "key" && name != "removed" && name != "foreign" { // a key of another size is an error
				continue
			}
			if rounds(0, 1) == 0 && name != "corrupted" && (name != "truncated" || raceDetector) { // each takes seconds
				continue
			}
			t.Run(pattern[:3]+" "+name, func(t *testing.T) {
				p := newTestDir(t)
				server, _ := p.serve(t)
				small, large, runs := uuid.NewString(), uuid.NewString(), uuid.NewString()
				c := dialSocket(t, p.socket())
				for id, command := range map[string]string{small: "seq 1000", large: "seq 600000", runs: "seq 2000; exec sleep 1000"} {
					s, err := c.Execute(t.Context(), rpc.ExecuteParams{
						Command: rpc.Command{Shell: command}, SessionID: id, OnDisconnect: rpc.OnDisconnectKeep,
					}, client.Events{})
					if err != nil {
						t.Fatal(err)
					}
					if id == runs {
						if !poll(func() bool { return s.Seq() > 5000 }) {
							t.Fatal("no output")
						}
					} else if _, err := s.Wait(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				server.signal(syscall.SIGKILL)
				<-server.done
				files, _ := filepath.Glob(filepath.Join(p.spoolDir(), pattern))
				if len(files) == 0 {
					t.Fatal("no such file")
				}
				info, err := os.Stat(files[0])
				if err == nil {
					err = damage(files[0], info.Size())
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"foreign", "journal-x", "output/foreign", "output/0000000000000001-x.log"} {
					if err := os.WriteFile(filepath.Join(p.spoolDir(), name), []byte("foreign"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				p.serve(t)
				checkDamaged(t, p, small, large, runs)
			})
		}
	}
}

// checkDamaged checks that what the server has of sessions is part of what they wrote, and that it runs others.
func checkDamaged(t *testing.T, p *testDir, ids ...string) {
	t.Helper()
	c := dialSocket(t, p.socket())
	for _, id := range ids {
		var r rpc.ReadResult
		for seq := int64(0); !r.Done; seq = r.LastSeq {
			r = rpc.ReadResult{}
			err := c.Call(t.Context(), rpc.MethodRead, rpc.ReadParams{SessionID: id, AfterSeq: seq}, &r)
			if hasCode(err, rpc.CodeSessionNotFound) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !r.Done && r.LastSeq == seq {
				t.Fatalf("read does not advance beyond %d", seq)
			}
			for _, e := range r.Events {
				checkPartOfSequence(t, e)
			}
		}
	}
	for _, name := range []string{"foreign", "output/foreign"} {
		if _, err := os.Stat(filepath.Join(p.spoolDir(), name)); err != nil {
			t.Error(err)
		}
	}
	x := p.runnel(t, "run", "echo", "next")
	x.expectLine("next")
	x.expectExit(0)
}

// sequence is what seq(1) writes, up to 600000. The programs of the tests are this one, and do not need it.
var sequence = sync.OnceValue(func() string {
	var b strings.Builder
	for i := range 600000 {
		fmt.Fprintln(&b, i+1)
	}
	return b.String()
})

// checkPartOfSequence checks output, whose position follows that of process.started.
func checkPartOfSequence(t *testing.T, e rpc.Event) {
	t.Helper()
	if e.Method != rpc.NotifyOutput {
		return
	}
	var o rpc.Output
	if err := json.Unmarshal(e.Params, &o); err != nil {
		t.Fatal(err)
	}
	end := int(o.Seq) - 1
	all := sequence()
	if begin := end - len(o.Data); begin < 0 || end > len(all) || all[begin:end] != o.Data {
		t.Errorf("the output up to %d is not what the command wrote", o.Seq)
	}
}

// TestSpooledOutput: all output of a command that nobody has read is read back by attach and logs.
func TestSpooledOutput(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	server, _ := p.serve(t, "--spool-bytes=2GiB", "--spool-total=8GiB")
	size := rounds(64, 1024) << 20
	if raceDetector { // which makes it some forty times slower
		size = 16 << 20
	}
	c := dialSocket(t, p.socket())
	stream := false
	s, err := c.Execute(t.Context(), rpc.ExecuteParams{
		Command: rpc.Command{Shell: fmt.Sprintf("yes '%s' | head -c %d", strings.Repeat("0123456789", 7), size)},
		Stream:  &stream, OnDisconnect: rpc.OnDisconnectKeep,
	}, client.Events{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := sha256.New()
	line := strings.Repeat("0123456789", 7) + "\n"
	for n := 0; n < size; n += len(line) {
		_, _ = io.WriteString(want, line[:min(len(line), size-n)])
	}
	for _, command := range []string{"logs", "attach"} {
		got := sha256.New()
		x := p.runnel(t, command, s.ID())
		n, err := io.Copy(got, x.out)
		if err != nil || n != int64(size) || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
			t.Errorf("%s: %d bytes, %v: not what the command wrote", command, n, err)
		}
		x.expectExit(0)
	}
	if peak := peakMemory(t, server.Process.Pid); !raceDetector && peak > 200<<20 {
		t.Errorf("the server had %d bytes of memory", peak)
	}
}

// peakMemory returns the most memory that a process has had, in bytes.
func peakMemory(t *testing.T, pid int) (n int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// TestSpoolBound: beyond its bound, the oldest output of a session is removed, and the gap is exact.
func TestSpoolBound(t *testing.T) {
	t.Parallel()
	p := newTestDir(t)
	p.serve(t, "--spool-bytes=4MiB", "--replay-bytes=256KiB")
	c := dialSocket(t, p.socket())
	stream := false
	s, err := c.Execute(t.Context(), rpc.ExecuteParams{
		Command: rpc.Command{Shell: "seq 3000000"}, Stream: &stream, OnDisconnect: rpc.OnDisconnectKeep,
	}, client.Events{})
	if err != nil {
		t.Fatal(err)
	}
	record, err := s.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want, err := exec.Command("seq", "3000000").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	var gaps []rpc.Gap
	a, _, err := c.Attach(t.Context(), rpc.AttachParams{SessionID: s.ID()}, client.Events{
		Output: func(o *client.Output) { got.Write(o.Data) },
		Gap:    func(g rpc.Gap) { gaps = append(gaps, g) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The log begins with process.started, which is one position, and ends with the record.
	lost := len(want) - got.Len()
	if len(gaps) != 1 || gaps[0].FromSeq > 1 || gaps[0].Seq != int64(lost)+1 || gaps[0].LostBytes != int64(lost) || gaps[0].Reason != "spool" {
		t.Errorf("%d bytes are lost: gaps %+v", lost, gaps)
	}
	if !bytes.HasSuffix(want, got.Bytes()) || record.Seq != int64(len(want))+2 {
		t.Errorf("the %d bytes are not the end of the output; the record is at %d", got.Len(), record.Seq)
	}
	if got.Len() > 4<<20+1<<20 || got.Len() < 1<<20 {
		t.Errorf("%d bytes are kept", got.Len())
	}
}
