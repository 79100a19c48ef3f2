package screen

// charsets are the character sets that the program has designated: the final byte of the designation, where 0
// is ASCII, of G0 to G3, and which of them is used.
type charsets struct {
	designated [4]byte
	active     int
}

const (
	charsetGraphics = '0'
	charsetUK       = 'A'
)

func (c *charsets) designate(g int, final byte) {
	if final != charsetGraphics && final != charsetUK {
		final = 0
	}
	c.designated[g] = final
}

// graphics are the line drawing characters from 0x5f on.
var graphics = []rune(" ◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")

// translate returns the character that the active set has for r.
func (c *charsets) translate(r rune) rune {
	switch c.designated[c.active] {
	case charsetGraphics:
		if r >= 0x5f && r <= 0x7e {
			return graphics[r-0x5f]
		}
	case charsetUK:
		if r == '#' {
			return '£'
		}
	}
	return r
}
