package outputfile_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/stream"
)

func processorTime(b *testing.B) float64 {
	var r syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

// BenchmarkAppend builds and appends blocks of the largest size. The file is kept at 256 MB.
func BenchmarkAppend(b *testing.B) {
	for name, files := range map[string]disk.Files{"direct": disk.OS{}, "buffered": buffered{disk.OS{}, false}} {
		b.Run(name, func(b *testing.B) {
			f, _ := create(b, files, b.TempDir())
			builder, at := block.NewBuilder(block.MaxBytes), stream.Mark{}
			data := output(0, 500_000)
			b.SetBytes(int64(len(data)))
			before := processorTime(b)
			for b.Loop() {
				builder.Reset(at, key, time.Now())
				must(b, builder.Add(&stream.Item{From: at.Seq, To: at.Seq + int64(len(data)), Kind: stream.PTY, Data: data}, nil))
				must(b, f.Append(builder.Finish()))
				if at = builder.End(); f.Bytes() > 512<<20 {
					_, err := f.RemoveUntil(256 << 20)
					must(b, err)
				}
			}
			b.ReportMetric((processorTime(b)-before)/float64(at.Seq)*1e9, "s/GB")
		})
	}
}
