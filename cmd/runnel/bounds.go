package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// defaultBounds are the defaults of serve's flags, for a server that nobody configured.
func defaultBounds() (*bounds, error) {
	var c struct {
		Bounds bounds `embed:""`
	}
	parser, err := kong.New(&c, kong.NamedMapper("size", sizeMapper{}))
	if err != nil {
		return nil, fmt.Errorf("defaults: %w", err)
	}
	if _, err := parser.Parse(nil); err != nil {
		return nil, err
	}
	return &c.Bounds, nil
}
