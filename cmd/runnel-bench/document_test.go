//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReplaceGenerated(t *testing.T) {
	page := "# Page\n\nby hand\n\n" + beginMarker + "\nold\n" + endMarker + "\n\nalso by hand\n"
	got, err := replaceGenerated([]byte(page), []byte("new\n"))
	if want := strings.Replace(page, "old", "new", 1); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	again, err := replaceGenerated(got, []byte("new\n"))
	if err != nil || string(again) != string(got) {
		t.Errorf("the second time: %q, %v", again, err)
	}
	empty := beginMarker + "\n" + endMarker + "\n"
	if got, err := replaceGenerated([]byte(empty), []byte("new\n")); err != nil || string(got) != beginMarker+"\nnew\n"+endMarker+"\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, page := range []string{
		"", beginMarker + "\n", "\n" + endMarker + "\n", page + page, beginMarker + "\n" + page, page + "\n" + endMarker + "\n",
		"\n" + endMarker + "\n" + beginMarker + "\n",
		"\n" + endMarker + "\nx\n" + beginMarker + "\nx\n",
	} {
		if got, err := replaceGenerated([]byte(page), []byte("new\n")); err == nil {
			t.Errorf("%q becomes %q", page, got)
		}
	}
}

func TestWriteDocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("by hand\n"+beginMarker+"\n"+endMarker+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	figures := []figure{
		{what: "speed", versus: "limit", values: []float64{0.5}, detail: "5 / 10", goal: atLeast(0.9)},
		{what: "memory", values: []float64{12}, unit: "KiB", goal: atMost(14)},
		{what: "only in the plot", values: []float64{1}, plotted: true},
	}
	if err := writeDocument(path, report{figures: figures, plots: []plot{{title: "Speed", file: "speed.svg", curves: []curve{{points: []point{{1, 1}, {2, 2}}}}}}}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"by hand\n", "| speed | limit | 0.50 | 5 / 10 | at least 0.90 | no |\n", "| memory |  | 12 KiB |  | at most 14 KiB | yes |\n", "\n![Speed](speed.svg)\n",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	if strings.Contains(string(page), "only in the plot") {
		t.Errorf("%s", page)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), "speed.svg")); err != nil {
		t.Error(err)
	}
}
