package client

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/runnel-rpc/runnel/rpc"
)

// feed is what has come of a session with a window and is not consumed yet. The window bounds it: the server is
// told what is consumed, and sends that much more.
type feed struct {
	s      *Session
	window int64

	mu       sync.Mutex
	change   sync.Cond
	items    []*item // in order, from the oldest that is not consumed; with readers, they have them
	received int64   // all up to here has come
	unread   int64   // bytes that wait for readers
	consumed int64   // all up to here is; with readers, as if what they have read had come first
	acked    int64   // the server was told
	credit   int64   // what the server's window lacks, for what waited here when it was set
	readers  map[string]*reader
	ended    bool
	err      error // why, where it was not the record
	link     *link // that the window is of; nil until the client had to attach again
}

// item is an event, or output that is taken piece by piece.
type item struct {
	seq    int64
	out    *Output // nil for an event
	method string
	params []byte
	raw    []byte
	left   []byte // of the output; nil for what is consumed
	told   bool   // of an event
	gap    *rpc.Gap
}

func (it *item) consumed() bool { return len(it.left) == 0 && (it.told || it.out != nil) }

func newFeed(s *Session) *feed {
	f := &feed{s: s, window: s.events.Window, readers: make(map[string]*reader)}
	f.change.L = &f.mu
	if s.events.Readers { // of each stream, or one that is asked for late would not know of a loss
		for _, stream := range types {
			f.reader(stream)
		}
	}
	return f
}

// reopen returns the window for an attachment at seq on another connection: what waits here fills a part of it.
func (f *feed) reopen(l *link, seq int64) *int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.link = l
	window := max(1, f.window-f.waiting())
	f.acked, f.credit = seq, f.window-window
	return &window
}

// waiting is how many bytes wait here. Places would not do: a gap has as many as it likes.
func (f *feed) waiting() (n int64) {
	if f.s.events.Readers {
		return f.unread
	}
	for _, it := range f.items {
		n += int64(len(it.left))
	}
	return n
}

// output is called by the goroutine that reads; it copies what is valid only until it returns.
func (f *feed) output(o *Output, raw []byte) {
	c := *o
	c.Data = slices.Clone(o.Data)
	f.add(&item{seq: o.Seq, out: &c, left: c.Data, raw: slices.Clone(raw)})
}

func (f *feed) event(method string, params, raw []byte, seq int64) {
	it := &item{seq: seq, method: method, params: slices.Clone(params), raw: slices.Clone(raw)}
	if f.s.events.Readers {
		f.s.tell(method, params, raw)
		it.gap = gapOf(method, params)
	}
	f.add(it)
}

func (f *feed) add(it *item) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.received = it.seq
	if f.s.events.Readers {
		f.unread += int64(len(it.left))
		for _, r := range f.readers {
			r.take(it)
		}
		if ack := f.due(); ack != nil {
			go ack() // who reads the connection does not wait until it can be written to
		}
	} else {
		f.items = append(f.items, it)
	}
	f.change.Broadcast()
}

// end says that nothing more comes behind what has come, and why, where that was not the record.
func (f *feed) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended, f.err = true, err
	f.change.Broadcast()
}

// tell is the goroutine that tells the session's events.
func (f *feed) tell() {
	for {
		it, err := f.next()
		if it == nil {
			f.s.finish(nil, err)
			return
		}
		if it.out == nil {
			f.s.tell(it.method, it.params, it.raw)
		} else {
			f.s.events.raw(it.raw)
			if f.s.events.Output != nil {
				f.s.events.Output(it.out)
			}
		}
		f.consume(it)
		if it.method == rpc.NotifyCompleted {
			return
		}
	}
}

// next waits for the oldest item; nil is the end.
func (f *feed) next() (*item, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.items) == 0 {
		if f.ended {
			return nil, f.err
		}
		f.change.Wait()
	}
	return f.items[0], nil
}

func (f *feed) consume(it *item) {
	f.mu.Lock()
	it.left, it.told = nil, true
	ack := f.pop()
	f.mu.Unlock()
	if ack != nil {
		ack()
	}
}

// pop drops what is consumed from the head and returns what tells the server, nil for nothing. It is not to be
// called under the lock.
func (f *feed) pop() (ack func()) {
	n := 0
	for n < len(f.items) && f.items[n].consumed() {
		f.consumed = f.items[n].seq
		f.items[n] = nil
		n++
	}
	f.items = f.items[n:]
	return f.due()
}

// due returns what tells the server, if there is enough to tell.
func (f *feed) due() (ack func()) {
	if f.s.events.Readers {
		f.consumed = f.received - f.unread
	}
	if upTo := f.consumed + f.credit; upTo-f.acked > f.window/4 && !f.ended {
		f.acked = upTo
		l := f.link
		return func() { f.ack(l, upTo) }
	}
	return nil
}

// ack tells the server, on the connection that the window is of: the client may not have begun to use it yet. One
// that is lost with its connection does not matter: the next one begins anew.
func (f *feed) ack(l *link, seq int64) {
	if l == nil {
		l = f.s.c.alive()
	}
	if l != nil {
		_ = l.notify(f.s.c.over, rpc.MethodAck, rpc.AckParams{SessionID: f.s.id, Seq: seq})
	}
}

func gapOf(method string, params []byte) *rpc.Gap {
	var g rpc.Gap
	if method != rpc.NotifyGap || json.Unmarshal(params, &g) != nil {
		return nil
	}
	return &g
}

// GapError is what a reader returns where output was lost.
type GapError struct{ rpc.Gap }

func (e *GapError) Error() string {
	return fmt.Sprintf("%d bytes of output were lost (%s)", e.LostBytes, e.Reason)
}

// reader is one stream of a feed.
type reader struct {
	f      *feed
	stream string
	items  []*item
}

// reader returns the reader of a stream, which has all of it from the beginning.
func (f *feed) reader(stream string) *reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.readers[stream]
	if r == nil {
		r = &reader{f: f, stream: stream}
		f.readers[stream] = r
	}
	return r
}

// take adds an item if it is for the reader: a gap is for all. Gaps with nothing between them are one, so that a
// stream that nobody reads gathers none.
func (r *reader) take(it *item) {
	switch {
	case it.gap != nil:
		g := *it.gap
		if n := len(r.items) - 1; n >= 0 && r.items[n].gap != nil {
			before := r.items[n].gap
			g.FromSeq, g.LostBytes = before.FromSeq, before.LostBytes+g.LostBytes
			r.items = r.items[:n]
		}
		r.items = append(r.items, &item{seq: it.seq, gap: &g})
	case it.out != nil && it.out.Type == r.stream:
		r.items = append(r.items, it)
	}
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	f := r.f
	f.mu.Lock()
	for len(r.items) == 0 {
		if f.ended {
			defer f.mu.Unlock()
			if f.err != nil {
				return 0, f.err
			}
			return 0, io.EOF
		}
		f.change.Wait()
	}
	it := r.items[0]
	if it.gap == nil {
		n = copy(b, it.left)
		it.left = it.left[n:]
		f.unread -= int64(n)
	} else {
		err = &GapError{*it.gap}
	}
	if len(it.left) == 0 {
		r.items = r.items[1:]
	}
	ack := f.due()
	f.mu.Unlock()
	if ack != nil {
		ack()
	}
	return n, err
}
