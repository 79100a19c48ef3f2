package screen

import "slices"

// saved is what DECSC saves.
type saved struct {
	x, y   int
	pen    style
	wrap   bool
	origin bool
	sets   charsets
}

// buffer is the primary or the alternate screen.
type buffer struct {
	rows  []row
	saved saved
	// isSaved is set if saved was set by the program.
	isSaved bool
}

func newBuffer(rows int) buffer { return buffer{rows: make([]row, rows)} }

// scrollUp removes the n topmost of the rows from top to bottom inclusive, and adds blank ones below.
func (b *buffer) scrollUp(top, bottom, n int, bg color) {
	region := b.rows[top : bottom+1]
	n = min(n, len(region))
	rotate(region, n)
	for i := len(region) - n; i < len(region); i++ {
		region[i].clear(bg)
	}
}

// scrollDown removes the n lowest of the rows from top to bottom inclusive, and adds blank ones above.
func (b *buffer) scrollDown(top, bottom, n int, bg color) {
	region := b.rows[top : bottom+1]
	n = min(n, len(region))
	rotate(region, len(region)-n)
	for i := range n {
		region[i].clear(bg)
	}
}

// rotate moves the first n rows behind the others. Their cells are used again.
func rotate(rows []row, n int) {
	if n == 1 {
		first := rows[0]
		copy(rows, rows[1:])
		rows[len(rows)-1] = first
		return
	}
	slices.Reverse(rows[:n])
	slices.Reverse(rows[n:])
	slices.Reverse(rows)
}

// resize changes the size. Rows are removed below the cursor first, and then at the top; rows are added below.
// It returns how many were removed at the top.
func (b *buffer) resize(rows, cols, cursor int) (removed int) {
	if len(b.rows) > rows {
		removed = max(0, cursor+1-rows)
		b.rows = slices.Clone(b.rows[removed : removed+rows])
	}
	b.rows = append(b.rows, make([]row, rows-len(b.rows))...)
	for i := range b.rows {
		b.rows[i].narrow(cols)
	}
	b.saved.x, b.saved.y = min(b.saved.x, cols-1), min(max(0, b.saved.y-removed), rows-1)
	return removed
}
