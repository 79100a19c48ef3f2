package tty

import (
	"bytes"
	"strconv"
)

// colors are the colors of a terminal that OSC sequences have changed, as bits of the numbers of these sequences:
// 4 is the palette, 5 the special colors, 10 to 19 those of the text, the background, the cursor, the pointer and
// the selection. What resets a color has a number that is larger by resetsColor.
type colors uint32

const resetsColor = 100

func isColor(number int) bool {
	return number == 4 || number == 5 || number >= 10 && number <= 19
}

// command handles the beginning of an OSC.
func (c *colors) command(text []byte) {
	first, rest, more := bytes.Cut(text, []byte(";"))
	n, err := strconv.Atoi(string(first))
	switch {
	case err != nil:
	case isColor(n) && more:
		c.set(n, bytes.Split(rest, []byte(";")))
	case n == resetsColor+4 || n == resetsColor+5:
		if len(rest) == 0 { // else it resets some of them
			*c &^= 1 << (n - resetsColor)
		}
	case isColor(n - resetsColor):
		*c &^= 1 << (n - resetsColor)
	}
}

// set handles the params of an OSC that sets colors, or asks for them. Those of the palette are pairs of an index
// and a color; others are colors with consecutive numbers.
func (c *colors) set(n int, params [][]byte) {
	for i, param := range params {
		isIndex := n < 10 && i%2 == 0
		if isIndex || len(param) == 0 || string(param) == "?" {
			continue
		}
		number := n
		if n >= 10 {
			number += i
		}
		if isColor(number) {
			*c |= 1 << number
		}
	}
}

// appendReset appends what resets the colors.
func (c *colors) appendReset(out []byte) []byte {
	for n := 0; n < 20; n++ {
		if *c&(1<<n) != 0 {
			out = strconv.AppendInt(append(out, "\x1b]"...), int64(n+resetsColor), 10)
			out = append(out, "\x1b\\"...)
		}
	}
	return out
}
