package spool

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/stream"
)

// windowFault makes writes to the window fail.
type windowFault struct {
	disk.Files
	on atomic.Bool
}

func (w *windowFault) OpenFile(path string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := w.Files.OpenFile(path, flag, perm)
	if err == nil && filepath.Base(path) == "window" {
		f = &faultyWindow{f, w}
	}
	return f, err
}

type faultyWindow struct {
	disk.File
	fault *windowFault
}

func (w *faultyWindow) WriteAt(b []byte, offset int64) (int, error) {
	if w.fault.on.Load() {
		return 0, syscall.EIO
	}
	return w.File.WriteAt(b, offset)
}

// Much new output of a session that has a file does not go through the window, unless the disk is slow.
func TestDirect(t *testing.T) {
	for name, within := range map[string]time.Duration{"fast": time.Hour, "slow": 0} {
		t.Run(name, func(t *testing.T) {
			files := &windowFault{Files: disk.OS{}}
			o := testOptions()
			o.Files = files
			sp := openSpool(t, t.TempDir(), o)
			sp.directWithin = within
			f := startFake(t, sp, "o", "s")
			f.write(1 << 20)
			awaitVisible(f)
			files.on.Store(true)
			for range 20 {
				data := bytes.Repeat([]byte("much\n"), directBytes/5+1)[:directBytes]
				f.log.Append(stream.Piece{Kind: stream.Stdout, Data: data})
				f.written = append(f.written, data...)
				awaitVisible(f)
			}
			files.on.Store(false)
			stopped := f.s.stoppedBy()
			f.end()
			if within == 0 {
				if stopped == nil {
					t.Error("the window was not used")
				}
				return
			}
			if stopped != nil {
				t.Error(stopped)
			}
			mustKeep(t, sp, f, "o", "s")
		})
	}
}

// awaitVisible waits until cursors may read everything.
func awaitVisible(f *fake) {
	end, _ := f.log.Next()
	if settled := f.log.Settled(end - 1); settled != nil {
		<-settled
	}
}
