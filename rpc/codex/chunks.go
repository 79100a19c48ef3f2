package codex

// maxChunks is how many of the newest events of a process have a known position. A notification of one
// byte takes more than 150 bytes, so they are more than the buffers of the kernel hold, which is what a
// client may have to read again after a connection was lost.
const maxChunks = 1 << 16

// chunks maps the sequence numbers of the events of a process to positions in the log of its session:
// seq counts chunks of output and the exit, the log counts bytes. It has the newest maxChunks events.
type chunks struct {
	first int64   // the seq of ends[0]
	ends  []int64 // where each event ends in the log; the exit and the close end where they begin
	begin int64   // where ends[0] begins at the earliest
}

// next returns the seq of the next event.
func (c *chunks) next() int64 { return c.first + int64(len(c.ends)) }

// add adds an event that ends at a position, and returns its seq.
func (c *chunks) add(end int64) int64 {
	if len(c.ends) == maxChunks {
		const dropped = maxChunks / 8
		c.begin = c.ends[dropped-1]
		c.ends = c.ends[:copy(c.ends, c.ends[dropped:])]
		c.first += dropped
	}
	c.ends = append(c.ends, end)
	return c.next() - 1
}

// span returns where an event begins at the earliest, and where it ends. There may be state events of
// the session between the beginning and the output.
func (c *chunks) span(seq int64) (begin, end int64) {
	i := seq - c.first
	if begin = c.begin; i > 0 {
		begin = c.ends[i-1]
	}
	return begin, c.ends[i]
}
