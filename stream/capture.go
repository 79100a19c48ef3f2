package stream

import (
	"bytes"
	"unicode/utf8"
)

// maxLineSearch is how many bytes of captured output may be given up so that it begins or ends at a
// line.
const maxLineSearch = 4 << 10

// Capture is the beginning and the end of each kind of output, at one moment.
type Capture struct {
	Seq int64 // the end of the log
	Of  [kinds]Ends
	// Partial is set if memory does not have all that was asked for, and [Log.CaptureStored] may.
	Partial bool
}

// Ends is the oldest and the newest output of one kind. Head precedes Tail, and they do not
// overlap.
type Ends struct {
	Head, Tail []byte
	Omitted    int64 // bytes between Head and Tail, with the markers of truncated lines
	Truncated  bool  // Omitted is not 0, or a line of Head or Tail was truncated
}

// Capture returns copies of at most oldest and newest bytes of each kind of output. oldest is
// bounded by [LogOptions.KeepHead]; if that is 0, Head is empty and Tail is exactly the newest
// bytes. Otherwise Head ends with a line and Tail begins with one, if a line ends within 4 KiB of
// the cut.
func (l *Log) Capture(oldest, newest int64) Capture {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := Capture{Seq: l.end.seq}
	for kind := Stdout; kind < kinds; kind++ {
		c.Of[kind] = l.ends(kind, oldest, newest)
		c.Partial = c.Partial || l.lacks(kind, oldest, newest)
	}
	return c
}

// lacks reports whether memory does not have all that was asked for of a kind, and the source may.
func (l *Log) lacks(kind Kind, oldest, newest int64) bool {
	all := l.appended[kind]
	switch {
	case l.source == nil:
		return false
	case l.restored:
		return l.oldest.seq > l.oldest.events
	case l.heads != nil && int64(len(l.heads[kind].data)) < min(oldest, all) && l.newestSize(kind, all) < all:
		return true
	}
	return l.newestSize(kind, newest) < min(newest, all)
}

// newestSize returns how many of the newest n bytes of one kind memory has; it may exceed n.
func (l *Log) newestSize(kind Kind, n int64) (have int64) {
	for i := l.entries.len(); i > 0 && have < n; i-- {
		if e := l.entries.at(i - 1); e.kind == kind {
			have += int64(len(e.data))
		}
	}
	if have < n && l.tails != nil {
		have += int64(len(l.tails[kind].ring))
	}
	return have
}

func (l *Log) ends(kind Kind, oldest, newest int64) Ends {
	if l.heads == nil {
		tail, truncated := l.newest(kind, newest)
		omitted := l.appended[kind] - int64(len(tail))
		return Ends{Tail: tail, Omitted: omitted, Truncated: truncated || omitted > 0}
	}
	h := &l.heads[kind]
	head := h.data[:min(int64(len(h.data)), oldest)]
	tail, truncated := l.newest(kind, newest+1) // the byte before the cut may end a line
	at := l.appended[kind] - int64(len(tail))
	atLine := at == 0
	if int64(len(tail)) > newest {
		atLine = tail[0] == '\n'
		tail = tail[1:]
		at++
	}
	if overlap := int64(len(head)) - at; overlap >= 0 {
		n := moveToHead(tail, int(min(overlap, int64(len(tail)))), atLine)
		head, tail = head[:at+int64(n)], tail[n:]
	} else {
		head = head[:lastLineEnd(head)]
		if !atLine {
			tail = tail[firstLineStart(tail):]
		}
	}
	omitted := l.appended[kind] - int64(len(head)+len(tail))
	truncated = truncated || h.truncated && len(head) > 0 || omitted > 0
	return Ends{Head: bytes.Clone(head), Tail: tail, Omitted: omitted, Truncated: truncated}
}

// moveToHead returns how many bytes of tail, at most most, move to an adjacent head: up to the end
// of the first line, or at least of a character. atLine reports whether tail begins at the start of
// a line.
func moveToHead(tail []byte, most int, atLine bool) int {
	if atLine {
		return 0
	}
	if i := bytes.IndexByte(tail[:min(most, maxLineSearch)], '\n'); i >= 0 {
		return i + 1
	}
	for n := 0; n <= min(most, utf8.UTFMax-1); n++ {
		if n == len(tail) || utf8.RuneStart(tail[n]) {
			return n
		}
	}
	return 0
}

// lastLineEnd returns the length of b without the unterminated line at its end. It is len(b) if no
// line ends in the last maxLineSearch bytes.
func lastLineEnd(b []byte) int {
	from := max(0, len(b)-maxLineSearch)
	if i := bytes.LastIndexByte(b[from:], '\n'); i >= 0 {
		return from + i + 1
	}
	return len(b)
}

// firstLineStart returns where the first whole line of b begins. It is 0 if there is none within
// maxLineSearch bytes.
func firstLineStart(b []byte) int {
	if i := bytes.IndexByte(b[:min(len(b), maxLineSearch)], '\n'); i >= 0 && i+1 < len(b) {
		return i + 1
	}
	return 0
}
