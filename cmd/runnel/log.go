package main

import (
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// newLog returns a logger that writes to w and never blocks on it: colored text if w is a terminal,
// else JSON, unless format is console or json. Call flush after the last use of the logger.
func newLog(w io.Writer, level, format string) (log zerolog.Logger, flush func()) {
	f, ok := w.(*os.File)
	terminal := ok && isatty.IsTerminal(f.Fd())
	formatted := func(w io.Writer) io.Writer {
		if format == "console" || format == "auto" && terminal {
			return zerolog.ConsoleWriter{Out: w, TimeFormat: time.DateTime, NoColor: !terminal || os.Getenv("NO_COLOR") != ""}
		}
		return w
	}
	l, err := zerolog.ParseLevel(level)
	if err != nil {
		l = zerolog.InfoLevel
	}
	failing := &lastError{Writer: w}
	direct := zerolog.New(formatted(failing)).With().Timestamp().Logger()
	sink := newLogSink(w, func(lines int) error {
		failing.err = nil
		direct.Warn().Int("lines", lines).Msg("log lines dropped")
		return failing.err
	})
	return zerolog.New(formatted(sink)).Level(l).With().Timestamp().Logger(), sink.close
}

// lastError records the error of a writer and hides it from zerolog, which would print it to stderr.
type lastError struct {
	io.Writer
	err error
}

func (w *lastError) Write(b []byte) (int, error) {
	_, w.err = w.Writer.Write(b)
	return len(b), nil
}
