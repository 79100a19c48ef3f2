package stream

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestTailOfEachKind: what one kind has kept is there whatever the other one writes.
func TestTailOfEachKind(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, keep := range []int64{1, 7, 300, 5000} {
		l := NewLog(LogOptions{Bound: 1000, Keep: keep})
		var want [kinds][]byte
		for i := range 3000 {
			kind := Stdout
			if r.IntN(20) > 0 {
				kind = Stderr
			}
			p := bytes.Repeat([]byte{byte(i)}, 1+r.IntN(400)*r.IntN(2))
			l.Append(Piece{Kind: kind, Data: p})
			want[kind] = append(want[kind], p...)
			for _, n := range []int64{0, 1, keep / 2, keep} {
				for _, k := range []Kind{Stdout, Stderr} {
					got, truncated := l.Tail(k, n)
					w := want[k][max(0, len(want[k])-int(n)):]
					if !bytes.Equal(got, w) || truncated != (len(w) < len(want[k])) {
						t.Fatalf("keep %d, piece %d: the newest %d of kind %d are %d bytes, truncated %v", keep, i, n, k, len(got), truncated)
					}
				}
			}
		}
	}
}

// TestTailTellsOfTruncation of a line that left the log.
func TestTailTellsOfTruncation(t *testing.T) {
	l := NewLog(LogOptions{Bound: 1000, Keep: 100})
	l.Append(Piece{Kind: Stdout, Data: []byte("abc"), Marker: Marker, Truncated: true})
	l.Append(Piece{Kind: Stderr, Data: make([]byte, 2000)})
	l.Append(Piece{Kind: Stderr, Data: make([]byte, 2000)})
	if got, truncated := l.Tail(Stdout, 100); string(got) != "abc"+Marker || !truncated {
		t.Errorf("%q, %v", got, truncated)
	}
}
