//go:build linux

package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
)

// plot is a diagram of curves over the same axes, which begin at 0 unless logX is set.
type plot struct {
	title  string
	x, y   string // titles of the axes, with their units
	logX   bool   // the x axis is logarithmic, with a tick at each point
	file   string // base name of the SVG file
	curves []curve
}

type curve struct {
	name   string
	points []point // by x
}

type point struct{ x, y float64 }

// The size of a plot and of the margins around its area, in pixels.
const (
	plotWidth, plotHeight   = 720, 400
	marginLeft, marginRight = 80, 24
	marginTop, marginBottom = 48, 64
	areaWidth               = plotWidth - marginLeft - marginRight
	areaHeight              = plotHeight - marginTop - marginBottom
	ticks                   = 5 // the most on a linear axis
)

// Colors that have enough contrast on a white and on a black background.
const (
	textColor = "#6e7681"
	gridColor = "#6e768166"
)

var curveColors = []string{"#3b82f6", "#d4722a"}

// axis maps values to pixels.
type axis struct {
	low, high float64
	log       bool
	ticks     []float64
	from, to  float64 // pixels of low and high
}

func (a *axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	return a.from + (v-low)/(high-low)*(a.to-a.from)
}

// linearAxis returns an axis from 0 to at least the largest value, with ticks at multiples of 1, 2
// or 5 times a power of ten.
func linearAxis(most, from, to float64) axis {
	if most <= 0 {
		most = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most/ticks)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if factor*step*ticks >= most {
			step *= factor
			break
		}
	}
	a := axis{high: math.Ceil(most/step) * step, from: from, to: to}
	for i := 0; float64(i)*step <= a.high*1.0001; i++ {
		a.ticks = append(a.ticks, float64(i)*step)
	}
	return a
}

// axes returns the axes for all points.
func (p *plot) axes() (x, y axis) {
	var mostX, mostY float64
	for _, c := range p.curves {
		for _, at := range c.points {
			mostX, mostY = max(mostX, at.x), max(mostY, at.y)
		}
	}
	y = linearAxis(mostY, plotHeight-marginBottom, marginTop)
	if !p.logX {
		return linearAxis(mostX, marginLeft, plotWidth-marginRight), y
	}
	x = axis{log: true, from: marginLeft, to: plotWidth - marginRight}
	for _, at := range p.curves[0].points {
		x.ticks = append(x.ticks, at.x)
	}
	x.low, x.high = x.ticks[0], x.ticks[len(x.ticks)-1]
	return x, y
}

// svg returns the plot as an SVG document. It has no background, so it shows on that of the page.
func (p *plot) svg() []byte {
	var d drawing
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="sans-serif" font-size="13" fill="%s">`,
		plotWidth, plotHeight, textColor)
	d.printf(`<title>%s</title>`, escaped(p.title))
	d.text(marginLeft, 18, "start", `font-size="15" font-weight="bold"`, p.title)
	x, y := p.axes()
	for _, v := range y.ticks {
		d.line(marginLeft, y.at(v), plotWidth-marginRight, y.at(v), gridColor)
		d.text(marginLeft-8, y.at(v)+4, "end", "", tickLabel(v))
	}
	for _, v := range x.ticks {
		d.line(x.at(v), plotHeight-marginBottom, x.at(v), plotHeight-marginBottom+5, textColor)
		d.text(x.at(v), plotHeight-marginBottom+20, "middle", "", tickLabel(v))
	}
	d.line(marginLeft, plotHeight-marginBottom, plotWidth-marginRight, plotHeight-marginBottom, textColor)
	d.text(marginLeft+areaWidth/2, plotHeight-16, "middle", "", p.x)
	d.text(0, 0, "middle", fmt.Sprintf(`transform="translate(20 %d) rotate(-90)"`, marginTop+areaHeight/2), p.y)
	for i, c := range p.curves {
		d.curve(c, x, y, curveColors[i%len(curveColors)], marginLeft+i*200)
	}
	d.printf(`</svg>`)
	return d.Bytes()
}

// drawing is the text of an SVG document.
type drawing struct{ bytes.Buffer }

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func (d *drawing) line(x1, y1, x2, y2 float64, color string) {
	d.printf(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`, x1, y1, x2, y2, color)
}

func (d *drawing) text(x, y float64, anchor, attributes, text string) {
	d.printf(`<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`, x, y, anchor, attributes, escaped(text))
}

// curve draws the points, the lines between them, and the name of the curve above the area.
func (d *drawing) curve(c curve, x, y axis, color string, legend int) {
	var line bytes.Buffer
	for _, p := range c.points {
		fmt.Fprintf(&line, "%.1f,%.1f ", x.at(p.x), y.at(p.y))
		d.printf(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, x.at(p.x), y.at(p.y), color)
	}
	d.printf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`, bytes.TrimSpace(line.Bytes()), color)
	d.printf(`<rect x="%d" y="27" width="18" height="4" fill="%s"/>`, legend, color)
	d.text(float64(legend+24), 34, "start", "", c.name)
}

func tickLabel(v float64) string { return fmt.Sprintf("%g", math.Round(v*1e6)/1e6) }

func escaped(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a Buffer accepts all
	return b.String()
}
