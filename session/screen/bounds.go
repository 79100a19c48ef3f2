package screen

import "fmt"

const (
	// MaxFeed is the most bytes of output from which a screen is computed: the newest ones.
	MaxFeed = 4 << 20
	// MaxCells is the most cells, rows times columns, of a screen.
	MaxCells = 100_000
	// MaxWork is the most work for one screen: 1 for each line that is moved or cleared, and cellWork for each
	// cell that is written, erased or moved. Usual output needs about ten for each byte; a program that fills a
	// screen of 100,000 cells by a sequence of three bytes would need more than a hundred thousand.
	MaxWork = 1 << 29

	cellWork = 4

	// maxCombining is the most bytes of combining characters in a cell; further ones are dropped.
	maxCombining = 32
	// maxTitle is the most bytes of a window title; a longer one is cut.
	maxTitle = 1024
	// maxTabStops is the most tab stops in a paint with less detail than Full.
	maxTabStops = 1000
	// maxParams is the most parameters of a control sequence; one with more is ignored.
	maxParams = 32
	// maxParam is the largest parameter; larger ones count as this.
	maxParam = 65535
	// maxPending is the most bytes of an unfinished sequence at the end of the output that a paint repeats.
	maxPending = 4 << 10
	// maxPartial is how far from the beginning of output that begins in the middle the end of a partial
	// sequence is looked for.
	maxPartial = 4 << 10
)

// TooLargeError means that a screen has more than MaxCells cells.
type TooLargeError struct{ Rows, Cols int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("a screen of %d rows and %d columns has more than %d cells", e.Rows, e.Cols, MaxCells)
}

// CheckSize returns a *TooLargeError if a screen of that size is not computed.
func CheckSize(rows, cols int) error {
	if rows > MaxCells || cols > MaxCells || rows*cols > MaxCells {
		return &TooLargeError{rows, cols}
	}
	return nil
}
