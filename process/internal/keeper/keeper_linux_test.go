package keeper

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/internal/identity"
	"github.com/runnel-rpc/runnel/process/internal/mark"
	"github.com/runnel-rpc/runnel/process/internal/proctest"
)

func TestMain(m *testing.M) {
	RunIfStarted()
	os.Exit(m.Run())
}

// present returns the process id of the present keeper, 0 if there is none.
func (k *Keeper) present() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.process == nil {
		return 0
	}
	return k.process.PID
}

// TestKeeperThatDoesNotRead checks that a keeper that does not read is killed before the pipe
// blocks a start, and the next one receives all groups.
func TestKeeperThatDoesNotRead(t *testing.T) {
	var k Keeper
	c := &Config{Record: identity.Record{PID: os.Getpid()}, Number: 1}
	k.Start(c, mark.NewUnmarkedTable(false), nil, nil)
	defer func() {
		k.Stop()
		k.Wait()
	}()
	k.AwaitFirst()
	first := k.present()
	if first == 0 {
		t.Fatal("no keeper was started")
	}
	_ = unix.Kill(first, unix.SIGSTOP)
	for pid := 1 << 23; pid < 1<<23+10_000; pid++ { // above PID_MAX_LIMIT
		k.Add(pid, false)
	}
	if !proctest.Poll(func() bool { next := k.present(); return next != 0 && next != first }) {
		t.Error("no other keeper is started")
	}
	k.mu.Lock()
	known := len(k.groups)
	k.mu.Unlock()
	if known != 10_000 {
		t.Errorf("%d groups, want 10000", known)
	}
}

func TestZeroKeeperDoesNothing(t *testing.T) {
	var k Keeper
	k.AwaitFirst()
	k.Add(1, false)
	k.Remove(1)
	k.Stop()
	k.Wait()
	if k.present() != 0 {
		t.Error("a keeper was started")
	}
}
