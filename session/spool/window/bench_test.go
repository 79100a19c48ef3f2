package window_test

import (
	"bytes"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/stream"
)

func processorTime(b *testing.B) float64 {
	var r syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

// BenchmarkAdd adds items and releases what is a megabyte old.
func BenchmarkAdd(b *testing.B) {
	run := func(name string, size, flush int) {
		b.Run(name, func(b *testing.B) {
			w, _ := open(b, disk.OS{}, filepath.Join(b.TempDir(), "window"), 100)
			p := w.Session(1, stream.Mark{})
			data := bytes.Repeat([]byte("a line of output, 32 bytes long\n"), size/32+1)[:size]
			n, at := 0, int64(0)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				it := stream.Item{From: at, To: at + int64(size), Kind: stream.Stdout, Data: data}
				must(b, p.Add(&it, nil))
				at = it.To
				if n++; n%flush == 0 {
					must(b, p.Flush())
					p.ReleaseBefore(at - 1<<20)
				}
			}
			b.ReportMetric((processorTime(b)-before)/float64(at)*1e9, "s/GB")
		})
	}
	run("64KiB", 64<<10, 1)
	run("100B", 100, 1)
	run("100B-flush-100", 100, 100)
}
