//go:build linux

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestSVG checks that a plot is well-formed XML, that its texts are in it, and that everything is
// inside of it.
func TestSVG(t *testing.T) {
	for _, p := range []plot{
		{title: "Speed & <size>", x: "length, bytes", y: "output, MB/s", logX: true, curves: []curve{
			{name: "a > b", points: []point{{8, 500}, {64, 900}, {4096, 1234}}}, {name: "limit", points: []point{{8, 600}, {64, 0}, {4096, 1300}}},
		}},
		{title: "Memory", x: "sessions", y: "MiB", curves: []curve{{name: "server", points: []point{{0, 7.5}, {100, 9}, {6000, 190}}}}},
		{title: "Nothing", x: "x", y: "y", curves: []curve{{name: "one point", points: []point{{0, 0}}}}},
	} {
		texts, positions := elements(t, p.svg())
		for _, want := range []string{p.title, p.x, p.y, p.curves[0].name} {
			if !slices.Contains(texts, want) {
				t.Errorf("%s: the text %q is not in the plot", p.title, want)
			}
		}
		if len(positions) < 20 {
			t.Errorf("%s: only %d coordinates", p.title, len(positions))
		}
		for _, v := range positions {
			if !(v >= 0 && v <= plotWidth) {
				t.Errorf("%s: coordinate %v", p.title, v)
			}
		}
	}
}

// elements parses an SVG document and returns its texts and coordinates.
func elements(t *testing.T, svg []byte) (texts []string, coordinates []float64) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts, coordinates
		}
		if err != nil {
			t.Fatalf("%v:\n%s", err, svg)
		}
		switch e := token.(type) {
		case xml.CharData:
			texts = append(texts, string(e))
		case xml.StartElement:
			for _, a := range e.Attr {
				switch a.Name.Local {
				case "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "points":
					for _, number := range strings.FieldsFunc(a.Value, func(r rune) bool { return r == ',' || r == ' ' }) {
						v, err := strconv.ParseFloat(number, 64)
						if err != nil {
							t.Fatal(err)
						}
						coordinates = append(coordinates, v)
					}
				}
			}
		}
	}
}

func TestLinearAxis(t *testing.T) {
	for most, want := range map[float64][]float64{
		1234: {0, 500, 1000, 1500}, 10: {0, 2, 4, 6, 8, 10}, 190: {0, 50, 100, 150, 200}, 0: {0, 0.2, 0.4, 0.6, 0.8, 1}, 0.03: {0, 0.01, 0.02, 0.03},
	} {
		a := linearAxis(most, 0, 100)
		if len(a.ticks) != len(want) {
			t.Errorf("%v: %v", most, a.ticks)
			continue
		}
		for i := range want {
			if d := a.ticks[i] - want[i]; d > 1e-9 || d < -1e-9 {
				t.Errorf("%v: %v", most, a.ticks)
			}
		}
		if at := a.at(most); most > a.high*1.0001 || at > 100.01 {
			t.Errorf("%v is outside", most)
		}
	}
	log := axis{low: 10, high: 1000, log: true, from: 0, to: 100}
	if at := log.at(100); at < 49.99 || at > 50.01 {
		t.Errorf("100 is at %v", at)
	}
}
