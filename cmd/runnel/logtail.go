package main

import (
	"bytes"
	"context"

	"github.com/runnel-rpc/runnel/rpc"
)

// tailBytes is how far before the end of a log the search for its last lines begins. The distance
// is doubled until there are enough.
const tailBytes = 64 << 10

// tail finds the last n lines between two positions of the log, of all streams together. It returns
// a position to read from, and how many line ends to skip there. The lines after a gap are the
// first ones.
func tail(ctx context.Context, l logSource, oldest, end, n int64) (after, skip int64, err error) {
	if n == 0 || end <= oldest {
		return max(oldest, end), 0, nil
	}
	for distance := int64(tailBytes); ; distance *= 2 {
		s, err := linesBetween(ctx, l, max(oldest, end-distance), end)
		switch {
		case err != nil:
			return 0, 0, err
		case s.starts() >= n:
			return s.from, s.starts() - n + 1, nil
		case s.first || s.from <= oldest:
			return s.from, 0, nil
		}
	}
}

// lineCount is the number of lines in a part of a log.
type lineCount struct {
	from  int64 // the position after which the part begins
	first bool  // nothing before from can be read
	ends  int64
	open  bool // the last line has no end
}

// starts returns how many lines begin after the end of another one.
func (s *lineCount) starts() int64 {
	if s.open || s.ends == 0 {
		return s.ends
	}
	return s.ends - 1
}

// linesBetween counts the lines in a part of the log.
func linesBetween(ctx context.Context, l logSource, from, end int64) (s lineCount, err error) {
	s.from = from
	for after := from; after < end; {
		res, err := l.read(ctx, after, end-after, rpc.Seconds{Set: true})
		if err != nil {
			return s, err
		}
		for _, e := range res.Events {
			if err := s.add(e, end); err != nil {
				return s, err
			}
		}
		if res.Done || len(res.Events) == 0 {
			break
		}
		after = res.LastSeq
	}
	return s, nil
}

func (s *lineCount) add(e rpc.Event, end int64) error {
	out, gap, err := decodeEvent(e)
	switch {
	case err != nil:
		return err
	case gap != nil:
		*s = lineCount{from: gap.Seq, first: true}
	case out != nil:
		data := out.until(end)
		if len(data) == 0 {
			return nil
		}
		s.ends += int64(bytes.Count(data, []byte("\n")))
		s.open = !bytes.HasSuffix(data, []byte("\n"))
	}
	return nil
}
