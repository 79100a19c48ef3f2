package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/rpc"
)

// memoryLog is a log of which what is before oldest is not kept. Its reads return at most a few
// events.
type memoryLog struct {
	events []rpc.Output
	oldest int64
	reads  int
}

// write appends output. A position without output follows, like a state event.
func (m *memoryLog) write(stream, data string) {
	m.events = append(m.events, rpc.Output{Seq: m.end() + int64(len(data)), Type: stream, Data: data})
	m.events = append(m.events, rpc.Output{Seq: m.end() + 1})
}

func (m *memoryLog) end() int64 {
	if len(m.events) == 0 {
		return 0
	}
	return m.events[len(m.events)-1].Seq
}

func (m *memoryLog) read(_ context.Context, after, most int64, _ rpc.Seconds) (res rpc.ReadResult, err error) {
	m.reads++
	res.LastSeq = after
	add := func(method string, params any, seq int64) {
		text, _ := json.Marshal(params)
		res.Events, res.LastSeq = append(res.Events, rpc.Event{Method: method, Params: text}), seq
	}
	if after < m.oldest {
		add(rpc.NotifyGap, rpc.Gap{FromSeq: after, Seq: m.oldest, LostBytes: m.oldest - after}, m.oldest)
	}
	first := sort.Search(len(m.events), func(i int) bool { return m.events[i].Seq > res.LastSeq })
	for _, o := range m.events[first:] {
		if len(res.Events) > 200 || most <= 0 {
			break
		}
		if o.Data == "" {
			add(rpc.NotifyPaused, rpc.StateEvent{Seq: o.Seq}, o.Seq)
			continue
		}
		o.Data = o.Data[int64(len(o.Data))-(o.Seq-res.LastSeq):]
		if cut := int64(len(o.Data)) - most; cut > 0 {
			o.Data, o.Seq = o.Data[:most], o.Seq-cut
		}
		most -= int64(len(o.Data))
		add(rpc.NotifyOutput, o, o.Seq)
	}
	return res, nil
}

// kept returns the output between two positions.
func (m *memoryLog) kept(from, to int64) string {
	var b strings.Builder
	for _, o := range m.events {
		begin := o.Seq - int64(len(o.Data))
		if low, high := max(from, begin), min(to, o.Seq); low < high && o.Data != "" {
			b.WriteString(o.Data[low-begin : high-begin])
		}
	}
	return b.String()
}

// lastLines returns the last n lines of a text.
func lastLines(text string, n int64) string {
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return strings.Join(lines[max(0, int64(len(lines))-n):], "")
}

// printTail returns what logs --tail prints.
func printTail(t *testing.T, m *memoryLog, after, end, n int64) string {
	t.Helper()
	var both bytes.Buffer
	p := logPrinter{log: m, inv: &invocation{stdout: &both, stderr: &both}}
	var err error
	if p.after, p.skip, err = tail(t.Context(), m, after, end, n); err != nil {
		t.Fatal(err)
	}
	if err := p.printUntil(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	return both.String()
}

// TestTail compares the last lines of random logs with those of the whole text.
func TestTail(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		m := &memoryLog{}
		for i := range 1 + r.IntN(800) {
			line := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", r.IntN(600)))
			if r.IntN(8) == 0 {
				line = line[:r.IntN(len(line))+1] // a part of a line
			}
			m.write([]string{rpc.StreamStdout, rpc.StreamStderr}[r.IntN(2)], line)
		}
		end := m.end() - r.Int64N(m.end()+1)/4 // more was written meanwhile
		after := int64(0)
		switch r.IntN(3) {
		case 0:
			m.oldest = r.Int64N(end + 1)
		case 1:
			after = r.Int64N(end + 1)
		}
		for _, n := range []int64{0, 1, 2, 10, 300, 1 << 40} {
			want := lastLines(m.kept(max(m.oldest, after), end), n)
			if got := printTail(t, m, after, end, n); got != want {
				t.Fatalf("seed %d, last %d lines: %d bytes, want %d:\n%.200q\n%.200q", seed, n, len(got), len(want), got, want)
			}
		}
	}
}

// TestTailReadsLittle: the last lines of a long log are found without reading all of it.
func TestTailReadsLittle(t *testing.T) {
	t.Parallel()
	m := &memoryLog{}
	for i := range 5000 {
		m.write(rpc.StreamStdout, fmt.Sprintln(i, strings.Repeat("x", 60)))
	}
	if got := printTail(t, m, 0, m.end(), 3); strings.Count(got, "\n") != 3 || !strings.HasPrefix(got, "4997 ") {
		t.Errorf("%q", got)
	}
	if m.reads > 20 {
		t.Errorf("%d reads", m.reads)
	}
}

// TestGapWhileSkipping: if lines that are to be skipped are removed after they were counted, what
// is left is printed.
func TestGapWhileSkipping(t *testing.T) {
	t.Parallel()
	m := &memoryLog{}
	for i := range 10 {
		m.write(rpc.StreamStdout, fmt.Sprintln(i))
	}
	m.oldest = m.events[15].Seq
	var out, messages bytes.Buffer
	p := logPrinter{log: m, skip: 6, inv: &invocation{stdout: &out, stderr: &messages}}
	if err := p.printUntil(t.Context(), m.end()); err != nil {
		t.Fatal(err)
	}
	expectEqual(t, out.String(), "8\n9\n")
	expectEqual(t, messages.String(), "runnel: 24 bytes of output are not kept\n")
}
