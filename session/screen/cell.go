package screen

// color is a color of a cell: 0 is the default, else one of 16, one of 256, or 24 bits. The first 8 of 16 and of
// 256 are different, since terminals may show only the former brighter if the character is bold.
type color uint32

const (
	color16   color = 1 << 24
	color256  color = 2 << 24
	colorRGB  color = 3 << 24
	colorKind color = 0xff << 24
)

// attribute is a set of attributes that are on or off.
type attribute uint16

const (
	bold attribute = 1 << iota
	dim
	italic
	blink
	reverse
	hidden
	strike
	overline
)

// style is how a character is drawn.
type style struct {
	fg, bg, line color // line is that of the underline
	attr         attribute
	underline    uint8 // 0 none, 1 single, 2 double, 3 curly, 4 dotted, 5 dashed
}

// cell is one position of the screen. A wide character has width 2, and the cell after it is its right half:
// width 0 without a character.
type cell struct {
	char      rune // 0 is a blank, or the right half
	width     uint8
	combining string
	style     style
}

func blank(bg color) cell { return cell{width: 1, style: style{bg: bg}} }

func (c *cell) isRightHalf() bool { return c.width == 0 }

// row is a line of the screen. The cells that it does not have are blanks with the background fill.
type row struct {
	cells []cell
	fill  color
}

// at returns the cell at x.
func (r *row) at(x int) cell {
	if x < len(r.cells) {
		return r.cells[x]
	}
	return blank(r.fill)
}

// extend makes the row have n cells at least.
func (r *row) extend(n int) {
	for len(r.cells) < n {
		r.cells = append(r.cells, blank(r.fill))
	}
}

// clear makes the whole row blank.
func (r *row) clear(bg color) { r.cells, r.fill = r.cells[:0], bg }

// erase makes the cells from x0 up to x1 blank, where cols is the width of the screen. It returns how many
// were written.
func (r *row) erase(x0, x1, cols int, bg color) int {
	if x0 >= x1 {
		return 1
	}
	if x0 == 0 && x1 == cols {
		r.clear(bg)
		return 1
	}
	r.splitWide(x0)
	r.splitWide(x1)
	if x1 == cols && r.fill == bg {
		r.cells = r.cells[:min(len(r.cells), x0)]
		return 1
	}
	if bg == r.fill {
		x1 = min(x1, len(r.cells))
	} else {
		r.extend(x1)
	}
	for x := x0; x < x1; x++ {
		r.cells[x] = blank(bg)
	}
	return max(1, x1)
}

// splitWide makes a wide character blank whose halves are on both sides of x.
func (r *row) splitWide(x int) {
	if x > 0 && x < len(r.cells) && r.cells[x].isRightHalf() {
		r.cells[x-1] = blank(r.cells[x-1].style.bg)
		r.cells[x] = blank(r.cells[x].style.bg)
	}
}

// insert inserts n blanks at x.
func (r *row) insert(x, n, cols int, bg color) {
	r.splitWide(x)
	n = min(n, cols-x)
	if x >= len(r.cells) && bg == r.fill {
		return
	}
	r.extend(min(cols, max(len(r.cells), x)+n))
	r.splitWide(len(r.cells) - n)
	copy(r.cells[x+n:], r.cells[x:])
	for i := range n {
		r.cells[x+i] = blank(bg)
	}
	if last := len(r.cells) - 1; r.cells[last].width == 2 {
		r.cells[last] = blank(r.cells[last].style.bg)
	}
}

// remove removes n cells at x, and adds blanks at the end.
func (r *row) remove(x, n, cols int, bg color) {
	n = min(n, cols-x)
	r.splitWide(x)
	r.splitWide(x + n)
	if bg == r.fill {
		if x < len(r.cells) {
			r.cells = append(r.cells[:x], r.cells[min(x+n, len(r.cells)):]...)
		}
		return
	}
	r.extend(cols)
	copy(r.cells[x:], r.cells[x+n:])
	for i := cols - n; i < cols; i++ {
		r.cells[i] = blank(bg)
	}
}

// narrow cuts the row to cols cells.
func (r *row) narrow(cols int) {
	if len(r.cells) > cols {
		r.splitWide(cols)
		r.cells = r.cells[:cols]
	}
	if cap(r.cells) > 2*cols { // else many rows could have the memory of a wide one, each from another size
		r.cells = append(make([]cell, 0, len(r.cells)), r.cells...)
	}
}
