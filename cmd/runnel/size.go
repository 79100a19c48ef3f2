package main

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// sizeMapper parses sizes in bytes, such as 65536, 64KiB, 1MiB, or 2GiB.
type sizeMapper struct{}

var units = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}, {"", 1}}

func (sizeMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("size", &text); err != nil {
		return err
	}
	n, err := parseSize(text)
	if err != nil {
		return err
	}
	target.SetInt(n)
	return nil
}

func parseSize(text string) (int64, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.factor {
			break
		}
		return n * u.factor, nil
	}
	return 0, fmt.Errorf("invalid size %q: must be like 65536, 64KiB or 1MiB", text)
}

// formatSize returns a size in the largest unit of which it has at least one.
func formatSize(n int64) string {
	for i := len(units) - 3; i >= 0; i-- {
		if u := units[i]; n >= u.factor {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.factor), u.suffix)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
