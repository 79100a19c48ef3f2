package stream

import (
	"bytes"
	"unicode/utf8"
)

// lineReach is how far a part of captured output is cut back, to end or begin with a line.
const lineReach = 4 << 10

// Capture is what a log has of the beginning and the end of each kind of output, at one moment.
type Capture struct {
	Seq int64 // the end of the log
	Of  [kinds]Ends
}

// Ends is the oldest and the newest output of one kind. No byte is in both: Head is what lies before Tail. Omitted counts
// the bytes between the two, markers among them. Truncated says that not all output is there, or that a line of it was
// truncated.
type Ends struct {
	Head, Tail []byte
	Omitted    int64
	Truncated  bool
}

// Capture returns copies of at most oldest and newest bytes of each kind. Oldest is bounded by [LogOptions.KeepHead]; where that
// is 0 there is no Head, and Tail is the newest bytes exactly. Otherwise each part ends, or begins, with a line, if one ends
// within lineReach of where it would be cut.
func (l *Log) Capture(oldest, newest int64) Capture {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := Capture{Seq: l.head.seq}
	for kind := Stdout; kind < kinds; kind++ {
		c.Of[kind] = l.ends(kind, oldest, newest)
	}
	return c
}

func (l *Log) ends(kind Kind, oldest, newest int64) Ends {
	if l.heads == nil {
		tail, cut := l.newest(kind, newest)
		omitted := l.given[kind] - int64(len(tail))
		return Ends{Tail: tail, Omitted: omitted, Truncated: cut || omitted > 0}
	}
	h := &l.heads[kind]
	head := h.data[:min(int64(len(h.data)), oldest)]
	tail, cut := l.newest(kind, newest+1) // one more, to see whether the cut is behind a line
	at := l.given[kind] - int64(len(tail))
	behind := at == 0
	if int64(len(tail)) > newest {
		behind = tail[0] == '\n'
		tail = tail[1:]
		at++
	}
	if meet := int64(len(head)) - at; meet >= 0 {
		n := seam(tail, int(min(meet, int64(len(tail)))), behind)
		head, tail = head[:at+int64(n)], tail[n:]
	} else {
		head = head[:lastLine(head)]
		if !behind {
			tail = tail[firstLine(tail):]
		}
	}
	omitted := l.given[kind] - int64(len(head)+len(tail))
	return Ends{Head: bytes.Clone(head), Tail: tail, Omitted: omitted, Truncated: cut || h.cut && len(head) > 0 || omitted > 0}
}

// seam is how many of the first most bytes of tail are to lie before it: up to the end of the first line, or at least of a
// character. Behind says that a line ends before tail.
func seam(tail []byte, most int, behind bool) int {
	if behind {
		return 0
	}
	if i := bytes.IndexByte(tail[:min(most, lineReach)], '\n'); i >= 0 {
		return i + 1
	}
	for n := 0; n <= min(most, utf8.UTFMax-1); n++ {
		if n == len(tail) || utf8.RuneStart(tail[n]) {
			return n
		}
	}
	return 0
}

// lastLine is the length of b without the line that does not end in it.
func lastLine(b []byte) int {
	from := max(0, len(b)-lineReach)
	if i := bytes.LastIndexByte(b[from:], '\n'); i >= 0 {
		return from + i + 1
	}
	return len(b)
}

// firstLine is where the first whole line of b begins; 0 where that is not near, or there is none.
func firstLine(b []byte) int {
	if i := bytes.IndexByte(b[:min(len(b), lineReach)], '\n'); i >= 0 && i+1 < len(b) {
		return i + 1
	}
	return 0
}
