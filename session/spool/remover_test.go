package spool

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// The space of a large file is freed while other sessions go on, and its name is removed at once.
func TestForgetLargeOutput(t *testing.T) {
	o := testOptions()
	faults := disk.NewFaults(disk.OS{})
	t.Cleanup(faults.Heal)
	o.Files = faults
	sp := openSpool(t, t.TempDir(), o)
	const step = 1 << 20
	sp.remover.step = step
	before := openFiles(t)
	large := startFake(t, sp, "o", "large")
	large.write(3 * step)
	large.end()
	path := sp.outputPath(large.s.entry)
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	faults.Hang(disk.Truncate)
	k, _ := sp.Find("o", "large")
	if err := k.Forget(); err != nil {
		t.Fatal(err)
	}
	faults.AwaitHanging(1)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
	if output, sessions := sums(sp); output != 0 || sessions != 0 {
		t.Errorf("%d bytes, %d sessions", output, sessions)
	}
	other := startFake(t, sp, "o", "other")
	other.write(step)
	other.end()
	mustKeep(t, sp, other, "o", "other")
	faults.Heal()
	var size int64
	for range 500 {
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if size = info.Size(); size <= step {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if size > step {
		t.Errorf("%d bytes are not freed", size)
	}
	sp.Close()
	if after := openFiles(t); after > before {
		t.Errorf("%d files open, %d before", after, before)
	}
}
