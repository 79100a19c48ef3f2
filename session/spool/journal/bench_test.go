package journal

import (
	"bytes"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

func BenchmarkAppend(b *testing.B) {
	for name, e := range map[string]Entry{
		"600B":    {Type: Record, Meta: bytes.Repeat([]byte{'m'}, 600)},
		"600B+1M": {Type: Record, Meta: bytes.Repeat([]byte{'m'}, 600), Blob: bytes.Repeat([]byte{'b'}, 1<<20)},
	} {
		b.Run(name, func(b *testing.B) {
			j, _ := begun(b, disk.OS{}, Options{})
			entries := []Entry{e}
			b.SetBytes(e.size())
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if _, err := j.Append(entries); err != nil {
					b.Fatal(err)
				}
				if n++; n%1024 == 0 { // keep the files few
					for _, s := range j.Segments() {
						if !s.Current {
							if err := j.Remove(s.ID); err != nil {
								b.Fatal(err)
							}
						}
					}
				}
			}
		})
	}
}

func BenchmarkScan(b *testing.B) {
	for name, e := range map[string]Entry{
		"800B":       {Type: Record, Meta: bytes.Repeat([]byte{'m'}, 800)},
		"800B+20KiB": {Type: Record, Meta: bytes.Repeat([]byte{'m'}, 800), Blob: make([]byte, 20<<10)},
	} {
		b.Run(name, func(b *testing.B) {
			const entries = 20_000
			j, dir := begun(b, disk.OS{}, Options{})
			for range entries / 100 {
				batch := make([]Entry, 100)
				for i := range batch {
					batch[i] = e
				}
				appendTo(b, j, batch...)
			}
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				j, err := Open(dir, disk.OS{}, Options{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := j.Scan(func(Position, Type, int64, []byte, int) error { n++; return nil }); err != nil || n != entries {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkReadMeta(b *testing.B) {
	j, _ := begun(b, disk.OS{}, Options{})
	at := appendTo(b, j, Entry{Type: Record, Meta: make([]byte, 600)})[0].At
	for _, name := range []string{"current", "older"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := j.ReadMeta(at); err != nil {
					b.Fatal(err)
				}
			}
		})
		if err := j.NewSegment(); err != nil {
			b.Fatal(err)
		}
	}
}
