package session

import "slices"

// maxWriters is how many writers of its input a session knows.
const maxWriters = 64

// position is how much input was accepted.
type position struct {
	total int64 // bytes
	eof   bool  // an eof was accepted
	eofAt int64 // total at the newest eof
}

func (p *position) advance(bytes int, eof bool) {
	p.total += int64(bytes)
	if eof {
		p.eof, p.eofAt = true, p.total
	}
}

// writer is a client that counts its own input, beside others that write to the same session.
type writer struct {
	name string
	position
}

// positionOf returns what was accepted of the input that the offset of a write counts.
func (q *stdin) positionOf(w *Write) position {
	if w.offset.Writer == "" {
		return q.position
	}
	i := q.indexOf(w.offset.Writer)
	if i < 0 {
		return position{}
	}
	return q.writers[i].position
}

// writerNamed returns a writer, which becomes the newest. If there are too many, the one that has not
// written for the longest time is forgotten.
func (q *stdin) writerNamed(name string) *writer {
	newest := writer{name: name}
	if i := q.indexOf(name); i >= 0 {
		newest = q.writers[i]
		q.writers = slices.Delete(q.writers, i, i+1)
	} else if len(q.writers) == maxWriters {
		q.writers = slices.Delete(q.writers, 0, 1)
	}
	q.writers = append(q.writers, newest)
	return &q.writers[len(q.writers)-1]
}

func (q *stdin) indexOf(name string) int {
	return slices.IndexFunc(q.writers, func(w writer) bool { return w.name == name })
}
