//go:build linux

package server_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session/spool"
	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// TestSpoolFailures: if the disk is full, read-only, fails or does not respond, a session that writes and one
// that begins continue with all their output, and their clients are told once. The shutdown does not wait for
// the disk.
func TestSpoolFailures(t *testing.T) {
	for reason, begin := range map[string]func(*disk.Faults){
		"full":      func(f *disk.Faults) { f.Limit(0, syscall.ENOSPC) },
		"read_only": func(f *disk.Faults) { f.Fail(disk.Write, syscall.EROFS); f.Fail(disk.Open, syscall.EROFS) },
		"failed":    func(f *disk.Faults) { f.Fail(disk.Write, syscall.EIO) },
		"stalled":   func(f *disk.Faults) { f.Hang(disk.Write) },
	} {
		t.Run(reason, func(t *testing.T) {
			faults := disk.NewFaults(disk.OS{})
			s := serve(t, inSpool(t.TempDir()), func(set *settings) {
				set.Spool = &spool.Options{WindowBytes: 64 << 20, Files: faults}
				set.Session.ReplayBytes = 64 << 10
			})
			t.Cleanup(faults.Heal)
			const lines = 500_000
			writes := s.dial(t)
			x := &transcript{id: uuid.NewString()}
			writes.good(writes.call("execute", object{
				"session_id": x.id, "command": fmt.Sprintf("read x; seq %d; exit 3", lines), "stdin": "pipe",
			}))
			begin(faults)
			writes.ok("write", object{"session_id": x.id, "data": "\n"}, nil)
			told := writes.followSpool(x)
			begins := s.dial(t)
			y := &transcript{id: uuid.NewString()}
			begins.good(begins.call("execute", object{"session_id": y.id, "command": "echo hello"}))
			told = append(told, begins.followSpool(y)...)

			var want strings.Builder
			for i := range lines {
				fmt.Fprintln(&want, i+1)
			}
			if x.stdout() != want.String() || len(x.gaps) > 0 || x.record.ExitCode == nil || *x.record.ExitCode != 3 {
				t.Errorf("%d bytes of %d, gaps %+v, %+v", len(x.stdout()), want.Len(), x.gaps, x.record)
			}
			if y.stdout() != "hello\n" || y.order[0] != "process.started" || y.order[1] != rpc.NotifySpool {
				t.Errorf("another session: stdout %q, events %q", y.stdout(), y.order)
			}
			if len(told) != 2 || told[0].SessionID != x.id || told[1].SessionID != y.id {
				t.Fatalf("the clients are told %+v", told)
			}
			for _, e := range told {
				if e.State != "stopped" || e.Reason != reason {
					t.Errorf("%+v", e)
				}
			}
			var st rpc.SessionStatus
			if writes.ok("status", object{"session_id": x.id}, &st); st.Spool == nil || st.Spool.State != "stopped" {
				t.Errorf("the status has %+v", st.Spool)
			}

			ended := make(chan struct{})
			go func() {
				defer close(ended)
				s.shutdown(0)
			}()
			select {
			case <-ended:
			case <-time.After(testTimeout):
				t.Error("the shutdown waits for the disk")
				faults.Heal()
				<-ended
			}
		})
	}
}

// followSpool is follow, and returns the events that say that output is not kept any more.
func (p *peer) followSpool(x *transcript) (told []rpc.Spool) {
	p.t.Helper()
	for x.record == nil {
		m := p.next("events of "+x.id, func(m *message) bool { return m.session == x.id && m.Method != "" })
		if err := x.take(m); err != nil {
			p.t.Fatal(err)
		}
		if m.Method == rpc.NotifySpool {
			var e rpc.Spool
			p.decode(m.Params, &e)
			told = append(told, e)
		}
	}
	return told
}
