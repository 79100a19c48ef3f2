package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"testing"
)

// TestCastText: a character that is divided between two pieces is in one event, and bytes that are not UTF-8
// become U+FFFD.
func TestCastText(t *testing.T) {
	const text = "aé✓中😀\xff\xc3(\xe2\x9c"
	want := "aé✓中😀\ufffd\ufffd(\ufffd\ufffd"
	for i := range len(text) + 1 {
		for j := i; j <= len(text); j++ {
			var out bytes.Buffer
			p := castPrinter{out: bufio.NewWriter(&out), output: castText{code: "o"}}
			for _, piece := range []string{text[:i], text[i:j], text[j:]} {
				if err := p.text(&p.output, []byte(piece), false); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.text(&p.output, nil, true); err != nil {
				t.Fatal(err)
			}
			_ = p.out.Flush()
			got := ""
			for line := range bytes.Lines(out.Bytes()) {
				var event [3]any
				if err := json.Unmarshal(line, &event); err != nil {
					t.Fatal(err)
				}
				got += event[2].(string)
			}
			if got != want {
				t.Errorf("cut at %d and %d: %q", i, j, got)
			}
		}
	}
}
