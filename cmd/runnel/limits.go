package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/runnel-rpc/runnel/process"
)

// limits are values of some limits, as flags give them.
type limits process.Limits

// limitsMapper reads NAME=VALUE, several with commas between.
type limitsMapper struct{}

func (limitsMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("limit", &text); err != nil {
		return err
	}
	all, _ := target.Interface().(limits)
	if all == nil {
		all = make(limits)
	}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if limit := process.Limit(name); !ok || !slices.Contains(process.AllLimits, limit) {
			return fmt.Errorf("%q is no limit: write NAME=VALUE, with one of the names %v", pair, process.AllLimits)
		}
		n, err := parseSize(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if n < 1 && process.Limit(name) != process.FileBytes {
			return fmt.Errorf("%s must be more than 0", name)
		}
		all[process.Limit(name)] = n
	}
	target.Set(reflect.ValueOf(all))
	return nil
}
