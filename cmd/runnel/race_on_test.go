//go:build race

package main

// bigLines makes 5 MB: under the race detector JSON takes twenty times as long.
const bigLines = 250_000
