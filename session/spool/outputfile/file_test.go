package outputfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/session/spool/block"
	"github.com/runnel-rpc/runnel/session/spool/disk"
	"github.com/runnel-rpc/runnel/session/spool/outputfile"
	"github.com/runnel-rpc/runnel/stream"
)

const key = 4711

func decode(b []byte) (any, error) { return string(b), nil }

// content makes the blocks of a log. Every third block has an event.
type content struct {
	builder *block.Builder
	end     stream.Mark
	n       int
	marks   []stream.Mark // where the blocks begin
}

func newContent() *content {
	return &content{builder: block.NewBuilder(block.MaxBytes), end: stream.Mark{Seq: 100, Events: 3}}
}

// next returns a block with about n bytes of output.
func (c *content) next(t testing.TB, n int) []byte {
	t.Helper()
	b := c.builder
	b.Reset(c.end, key, time.Unix(1e9, 0))
	if c.n%3 == 0 {
		event := fmt.Sprint("event ", c.n)
		if err := b.Add(&stream.Item{From: c.end.Seq, To: c.end.Seq + 1, Event: event}, []byte(event)); err != nil {
			t.Fatal(err)
		}
	}
	at := b.End().Seq
	data := output(at, n)
	if err := b.Add(&stream.Item{From: at, To: at + int64(n), Kind: stream.Stdout, Data: data}, nil); err != nil {
		t.Fatal(err)
	}
	c.marks = append(c.marks, c.end)
	c.end, c.n = b.End(), c.n+1
	return b.Finish()
}

// output is output that depends on its position.
func output(at int64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte((at+int64(i))/64%23)
	}
	return b
}

// write writes blocks of different lengths.
func write(t testing.TB, f *outputfile.File, c *content, blocks int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	for range blocks {
		if err := f.Append(c.next(t, 1+r.IntN(40_000))); err != nil {
			t.Fatal(err)
		}
	}
}

// verify reads all from a position, and checks the output.
func verify(t testing.TB, f *outputfile.File, from, to stream.Mark) {
	t.Helper()
	events := from.Events
	for seq := from.Seq; seq < to.Seq; {
		k, err := f.Read(seq, false, decode)
		if err != nil {
			t.Fatalf("at %d: %v", seq, err)
		}
		for _, it := range k.Items {
			if it.Kind == stream.Event {
				events++
			} else if !bytes.Equal(it.Data, output(it.From, len(it.Data))) {
				t.Fatalf("the output from %d on is not what was written", it.From)
			}
			seq = it.To
		}
		if seq != k.End.Seq || events != k.End.Events {
			t.Fatalf("the items end at %d %d, the block at %v", seq, events, k.End)
		}
		k.Release()
	}
	if events != to.Events {
		t.Errorf("%d events, want %d", events, to.Events)
	}
	if _, err := f.Read(to.Seq, false, decode); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func bounds(t testing.TB, f *outputfile.File, oldest, end stream.Mark) {
	t.Helper()
	if o, e := f.Bounds(); o != oldest || e != end {
		t.Errorf("bounds %v to %v, want %v to %v", o, e, oldest, end)
	}
}

func reopen(t testing.TB, path string) *outputfile.File {
	t.Helper()
	f, err := outputfile.Open(disk.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func create(t testing.TB, files disk.Files, dir string) (*outputfile.File, string) {
	t.Helper()
	path := filepath.Join(dir, "session.log")
	f, err := outputfile.Create(files, path, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, path
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// buffered refuses direct I/O when a file is opened, or when it is written.
type buffered struct {
	disk.Files
	late bool
}

func (b buffered) OpenFile(path string, flag int, perm fs.FileMode) (disk.File, error) {
	if flag&disk.Direct == 0 || disk.Direct == 0 {
		return b.Files.OpenFile(path, flag, perm)
	}
	if !b.late {
		return nil, syscall.EINVAL
	}
	f, err := b.Files.OpenFile(path, flag&^disk.Direct, perm)
	return refusing{f}, err
}

type refusing struct{ disk.File }

func (refusing) WriteAt([]byte, int64) (int, error) { return 0, syscall.EINVAL }

// everywhere runs a test with and without direct I/O, on the file system of the temporary directory and
// on one in memory.
func everywhere(t *testing.T, test func(t *testing.T, files disk.Files, dir string)) {
	t.Run("disk", func(t *testing.T) { test(t, disk.OS{}, t.TempDir()) })
	t.Run("direct refused", func(t *testing.T) { test(t, buffered{disk.OS{}, false}, t.TempDir()) })
	t.Run("direct refused late", func(t *testing.T) { test(t, buffered{disk.OS{}, true}, t.TempDir()) })
	t.Run("memory", func(t *testing.T) {
		dir, err := os.MkdirTemp("/dev/shm", "outputfile")
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		test(t, disk.OS{}, dir)
	})
}

func TestRoundTrip(t *testing.T) {
	everywhere(t, func(t *testing.T, files disk.Files, dir string) {
		f, path := create(t, files, dir)
		c := newContent()
		first := c.end
		write(t, f, c, 50)
		bounds(t, f, first, c.end)
		verify(t, f, first, c.end)
		verify(t, f, c.marks[20], c.end)
		must(t, f.Finish())
		must(t, f.Sync())
		verify(t, f, first, c.end)
		size := f.Bytes()
		must(t, f.Close())
		if err := f.Finish(); !errors.Is(err, outputfile.ErrFinished) {
			t.Errorf("finished twice: %v", err)
		}
		if err := f.Append(c.next(t, 10)); !errors.Is(err, outputfile.ErrFinished) {
			t.Errorf("appended to a finished file: %v", err)
		}

		f = reopen(t, path)
		end := c.marks[50]
		bounds(t, f, first, end)
		verify(t, f, first, end)
		if !f.Finished() || f.Damaged() != 0 || f.Key() != key || f.Bytes() != size || f.Compressed() {
			t.Errorf("finished %v, %d bytes damaged, key %d, %d bytes instead of %d", f.Finished(), f.Damaged(), f.Key(), f.Bytes(), size)
		}
	})
}

func TestReadInside(t *testing.T) {
	f, _ := create(t, disk.OS{}, t.TempDir())
	c := newContent()
	write(t, f, c, 10)
	for i, mark := range c.marks[:9] {
		for _, seq := range []int64{mark.Seq, (mark.Seq + c.marks[i+1].Seq) / 2, c.marks[i+1].Seq - 1} {
			k, err := f.Read(seq, false, decode)
			must(t, err)
			if k.First != mark || k.End != c.marks[i+1] {
				t.Errorf("the block at %d is from %v to %v, want from %v", seq, k.First, k.End, mark)
			}
		}
	}
	if _, err := f.Read(99, false, decode); !errors.Is(err, stream.ErrRemoved) {
		t.Errorf("before the beginning: %v", err)
	}
}

func TestEventsOnly(t *testing.T) {
	f, _ := create(t, disk.OS{}, t.TempDir())
	c := newContent()
	at, events := c.end.Seq, 0
	write(t, f, c, 20)
	for at < c.end.Seq {
		k, err := f.Read(at, true, decode)
		must(t, err)
		if k.First.Seq > at || k.End.Seq <= at {
			t.Fatalf("the part at %d is from %v to %v", at, k.First, k.End)
		}
		for _, it := range k.Items {
			if want := fmt.Sprint("event ", 3*events); it.Event != want || it.Kind != stream.Event {
				t.Errorf("%v instead of %s", it.Event, want)
			}
			events++
		}
		at = k.End.Seq
		k.Release()
	}
	if events != 7 || at != c.end.Seq {
		t.Errorf("%d events up to %d", events, at)
	}
}

func TestAppendRefuses(t *testing.T) {
	f, _ := create(t, disk.OS{}, t.TempDir())
	c := newContent()
	write(t, f, c, 2)
	good := bytes.Clone(c.next(t, 100))
	other := block.NewBuilder(4096)
	other.Reset(c.end, key+1, time.Now())
	must(t, other.Add(&stream.Item{From: c.end.Seq, To: c.end.Seq + 1, Kind: stream.PTY, Data: []byte("x")}, nil))
	empty := block.NewBuilder(4096)
	empty.Reset(c.end, key, time.Now())
	for name, b := range map[string][]byte{"another key": other.Finish(), "an empty block": empty.Finish(), "without padding": good[:200]} {
		if err := f.Append(b); !errors.Is(err, outputfile.ErrBlock) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, f.Append(good))
	if err := f.Append(good); !errors.Is(err, outputfile.ErrBlock) {
		t.Errorf("the same again: %v", err)
	}
	if err := f.Append(make([]byte, 4096)); !errors.Is(err, block.ErrNoBlock) {
		t.Errorf("zeros: %v", err)
	}
}

// TestGap appends a block that begins after the end, as after a crash that has lost something.
func TestGap(t *testing.T) {
	f, path := create(t, disk.OS{}, t.TempDir())
	c := newContent()
	write(t, f, c, 3)
	lost := c.end
	c.next(t, 1000)
	next := c.end
	write(t, f, c, 3)
	check := func(f *outputfile.File) {
		t.Helper()
		for _, eventsOnly := range []bool{false, true} {
			_, err := f.Read(lost.Seq, eventsOnly, decode)
			if u, ok := errors.AsType[*stream.UnreadableError](err); !ok || u.Next != next.Seq {
				t.Errorf("in the gap: %v", err)
			}
		}
		verify(t, f, next, c.end)
	}
	check(f)
	must(t, f.Close())
	check(reopen(t, path))
}

// TestConcurrentReads reads while blocks are appended and removed.
func TestConcurrentReads(t *testing.T) {
	f, _ := create(t, disk.OS{}, t.TempDir())
	c := newContent()
	write(t, f, c, 1)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for r := range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				oldest, end := f.Bounds()
				seq := oldest.Seq + rand.Int64N(end.Seq-oldest.Seq)
				k, err := f.Read(seq, r == 0, decode)
				if errors.Is(err, stream.ErrRemoved) {
					continue
				} else if err != nil {
					t.Error(err)
					return
				}
				for _, it := range k.Items {
					if it.Kind != stream.Event && !bytes.Equal(it.Data, output(it.From, len(it.Data))) {
						t.Errorf("the output from %d on is not what was written", it.From)
					}
				}
				k.Release()
			}
		})
	}
	for range 30 {
		write(t, f, c, 10)
		if _, err := f.RemoveUntil(500_000); err != nil && !errors.Is(err, disk.ErrNoHoles) {
			t.Error(err)
		}
	}
	must(t, f.Finish())
	close(stop)
	wg.Wait()
}

func TestForeign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "foreign")
	must(t, os.WriteFile(path, bytes.Repeat([]byte("not a block\n"), 10_000), 0o600))
	if _, err := outputfile.Open(disk.OS{}, path); !errors.Is(err, outputfile.ErrForeign) {
		t.Error(err)
	}
	if _, err := outputfile.Open(disk.OS{}, path+"?"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := outputfile.Create(disk.OS{}, path, key); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
}

func TestEmpty(t *testing.T) {
	f, path := create(t, disk.OS{}, t.TempDir())
	must(t, f.Close())
	f = reopen(t, path)
	bounds(t, f, stream.Mark{}, stream.Mark{})
	c := newContent()
	first := c.end
	write(t, f, c, 3)
	must(t, f.Finish())
	verify(t, reopen(t, path), first, c.end)
}

// TestFooterLies checks that a length in a footer with a correct checksum is not trusted.
func TestFooterLies(t *testing.T) {
	f, path := create(t, disk.OS{}, t.TempDir())
	c := newContent()
	first := c.end
	write(t, f, c, 3)
	must(t, f.Finish())
	good, err := os.ReadFile(path)
	must(t, err)
	for _, field := range []int{8, 16, 24, 32, 40} {
		for _, value := range []uint64{1 << 63, 1<<63 - 1, 1<<32 - 1, 1 << 40, 2, 0} {
			bad := bytes.Clone(good)
			foot := bad[len(bad)-64:]
			binary.LittleEndian.PutUint64(foot[field:], value)
			binary.LittleEndian.PutUint32(foot[60:], checksum(foot[:60]))
			must(t, os.WriteFile(path, bad, 0o600))
			if f := reopen(t, path); !f.Finished() {
				verify(t, f, first, c.end)
			}
		}
	}
}
