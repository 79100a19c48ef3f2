package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/runnel-rpc/runnel/process"
)

// limits are the values of --limit or --max-limit.
type limits process.Limits

// limitsMapper parses NAME=VALUE[,NAME=VALUE…].
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
			return fmt.Errorf("invalid limit %q: must be NAME=VALUE, with NAME one of %v", pair, process.AllLimits)
		}
		n, err := parseSize(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if n < 1 && process.Limit(name) != process.FileBytes {
			return fmt.Errorf("%s must be greater than 0", name)
		}
		all[process.Limit(name)] = n
	}
	target.Set(reflect.ValueOf(all))
	return nil
}
