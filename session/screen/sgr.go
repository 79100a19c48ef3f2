package screen

import "strconv"

// apply carries out an SGR.
func (st *style) apply(params []param) {
	if len(params) == 0 {
		*st = style{}
	}
	for len(params) > 0 {
		params = params[st.applyOne(params):]
	}
}

// applyOne applies the first of the parameters, and returns how many belong to it.
func (st *style) applyOne(params []param) int {
	subs := 1
	for subs < len(params) && params[subs].sub {
		subs++
	}
	switch n := params[0].value; {
	case n == 0:
		*st = style{}
	case n == 4:
		st.underline = 1
		if subs > 1 {
			st.underline = uint8(min(params[1].value, 5))
		}
	case n == 21:
		st.underline = 2
	case n == 22:
		st.attr &^= bold | dim
	case n == 24:
		st.underline = 0
	case n == 38, n == 48, n == 58:
		c, used := extendedColor(params, subs)
		if used > 0 {
			*st.colorOf(n) = c
			return used
		}
	case n == 39, n == 49, n == 59:
		*st.colorOf(n - 1) = 0
	case n >= 30 && n <= 37:
		st.fg = color16 | color(n-30)
	case n >= 40 && n <= 47:
		st.bg = color16 | color(n-40)
	case n >= 90 && n <= 97:
		st.fg = color16 | color(n-90+8)
	case n >= 100 && n <= 107:
		st.bg = color16 | color(n-100+8)
	default:
		for _, a := range attributes {
			if n == a.on {
				st.attr |= a.attr
			} else if n == a.off {
				st.attr &^= a.attr
			}
		}
	}
	return subs
}

// attributes are the SGR parameters of attributes; those of bold and dim are both ended by 22.
var attributes = []struct {
	attr    attribute
	on, off int
}{
	{bold, 1, 22}, {dim, 2, 22}, {italic, 3, 23}, {blink, 5, 25}, {blink, 6, 25}, {reverse, 7, 27}, {hidden, 8, 28},
	{strike, 9, 29}, {overline, 53, 55},
}

func (st *style) colorOf(n int) *color {
	switch n {
	case 38:
		return &st.fg
	case 48:
		return &st.bg
	}
	return &st.line
}

// extendedColor returns the color of 38, 48 or 58, and how many parameters it has; 0 if it is invalid. The
// parts are separated by semicolons, or by colons, with or without a color space. subs is 1 plus the number of
// parts after colons.
func extendedColor(params []param, subs int) (c color, used int) {
	parts := params[1:]
	if subs > 1 {
		parts = params[1:subs]
	}
	switch {
	case len(parts) >= 2 && parts[0].value == 5:
		c, used = color256|color(parts[1].value&0xff), 3
	case len(parts) >= 5 && parts[0].value == 2 && subs > 1:
		c, used = rgb(parts[2:5]), 6
	case len(parts) >= 4 && parts[0].value == 2:
		c, used = rgb(parts[1:4]), 5
	default:
		return 0, 0
	}
	if subs > 1 {
		used = subs
	}
	return c, used
}

func rgb(parts []param) color {
	c := colorRGB
	for i, p := range parts {
		c |= color(p.value&0xff) << (16 - 8*i)
	}
	return c
}

// appendSGR appends the SGR that sets the style, whatever it was before.
func (st *style) appendSGR(b []byte) []byte {
	b = append(b, "\x1b[0"...)
	for i, a := range attributes {
		if st.attr&a.attr != 0 && (i == 0 || attributes[i-1].attr != a.attr) {
			b = strconv.AppendInt(append(b, ';'), int64(a.on), 10)
		}
	}
	switch {
	case st.underline == 1:
		b = append(b, ";4"...)
	case st.underline > 1:
		b = strconv.AppendInt(append(b, ";4:"...), int64(st.underline), 10)
	}
	b = appendColor(b, st.fg, 30)
	b = appendColor(b, st.bg, 40)
	b = appendColor(b, st.line, 50)
	return append(b, 'm')
}

// appendColor appends the parameters of a color, where base is 30, 40, or 50 for the underline.
func appendColor(b []byte, c color, base int64) []byte {
	v := int64(c &^ colorKind)
	switch c & colorKind {
	case color16:
		if v >= 8 {
			base += 60 - 8
		}
		return strconv.AppendInt(append(b, ';'), base+v, 10)
	case color256:
		b = strconv.AppendInt(append(b, ';'), base+8, 10)
		return strconv.AppendInt(append(b, ";5;"...), v, 10)
	case colorRGB:
		b = strconv.AppendInt(append(b, ';'), base+8, 10)
		b = append(b, ";2"...)
		for shift := 16; shift >= 0; shift -= 8 {
			b = strconv.AppendInt(append(b, ';'), v>>shift&0xff, 10)
		}
	}
	return b
}
