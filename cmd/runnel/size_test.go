package main

import "testing"

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "65536": 65536, "7B": 7, "64KiB": 64 << 10, "1MiB": 1 << 20, "2 GiB": 2 << 30,
		"": -1, "KiB": -1, "-1": -1, "1.5MiB": -1, "1kb": -1, "1MB": -1, "9223372036854775807KiB": -1, "1MiBB": -1,
	} {
		got, err := parseSize(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 1536: "1.5 KiB", 3 << 20: "3.0 MiB", 5 << 40: "5120.0 GiB",
	} {
		expectEqual(t, formatSize(n), want)
	}
}
