package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// file returns the content of the first segment, after entries were appended to it.
func file(t testing.TB, entries ...Entry) ([]byte, []found) {
	t.Helper()
	j, dir := begun(t, disk.OS{}, Options{})
	all := appendTo(t, j, entries...)
	b, err := os.ReadFile(path(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	return b, all
}

// replace makes b the only segment in a directory.
func replace(t testing.TB, dir string, b []byte) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		if err := os.Remove(dir + "/" + d.Name()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path(dir, 1), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTornTail cuts the file at every byte, as a crash during an Append of the last entries does.
func TestTornTail(t *testing.T) {
	whole, all := file(t, entry(1), entry(40), entry(25), entry(63))
	dir := t.TempDir()
	for n := range len(whole) + 1 {
		replace(t, dir, whole[:n])
		var want []found
		end := int64(headerSize)
		for _, f := range all {
			if content := f.At.Offset + headerSize + int64(len(f.Meta)+len(f.Blob)); content <= int64(n) {
				want, end = append(want, f), f.At.Offset+f.size()
			}
		}
		j, got, r := reopen(t, dir)
		equal(t, got, want)
		switch {
		case n < headerSize:
			end = 0
			fallthrough
		case int64(n) > end:
			if len(r.Damage) != 1 || !r.Damage[0].Torn || r.Damage[0].Bytes != int64(n)-end {
				t.Fatalf("%d bytes: report %+v", n, r)
			}
		default:
			clean(t, r)
		}
		// The journal goes on behind the last whole entry.
		want = append(want, appendTo(t, j, entry(5), entry(6))...)
		j.Close()
		j, got, r = reopen(t, dir)
		equal(t, got, want)
		if n >= headerSize {
			clean(t, r)
		}
		j.Close()
	}
}

// TestDamage changes every byte of an entry in the middle: the others are found, and it is reported
// unless only its padding or blob was changed.
func TestDamage(t *testing.T) {
	whole, all := file(t, entry(1), entry(40), entry(63))
	middle := all[1]
	dir := t.TempDir()
	for n := middle.At.Offset; n < all[2].At.Offset; n++ {
		b := bytes.Clone(whole)
		b[n] ^= 0x10
		replace(t, dir, b)
		j := open(t, dir, disk.OS{}, Options{})
		var got []Position
		r, err := j.Scan(func(at Position, _ Type, _ int64, _ []byte, _ int) error {
			got = append(got, at)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		blob := middle.At.Offset + headerSize + int64(len(middle.Meta))
		if n >= blob {
			if len(got) != 3 || len(r.Damage) != 0 {
				t.Fatalf("byte %d: entries %v, report %+v", n, got, r)
			}
			_, err := j.ReadBlob(middle.At)
			if inBlob := n < blob+int64(len(middle.Blob)); errors.Is(err, ErrDamaged) != inBlob {
				t.Fatalf("byte %d: blob: %v", n, err)
			}
		} else {
			want := []Damage{{Position: middle.At, Bytes: middle.size(), Err: ErrDamaged}}
			if !slices.Equal(got, []Position{all[0].At, all[2].At}) || !cmp.Equal(want, r.Damage, cmp.Comparer(errors.Is)) {
				t.Fatalf("byte %d: entries %v, report %+v", n, got, r)
			}
			if _, err := j.ReadMeta(middle.At); !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d: meta: %v", n, err)
			}
		}
		j.Close()
	}
}

// TestDamagedHeader changes every byte of the header of the segment: its entries are found by the
// tag of the first one.
func TestDamagedHeader(t *testing.T) {
	whole, want := file(t, entry(1), entry(40))
	dir := t.TempDir()
	for n := range headerSize {
		b := bytes.Clone(whole)
		b[n] ^= 0x10
		replace(t, dir, b)
		j, got, r := reopen(t, dir)
		equal(t, got, want)
		if len(r.Damage) != 1 || r.Damage[0].Offset != 0 || r.Damage[0].Torn {
			t.Fatalf("byte %d: report %+v", n, r)
		}
		if at := appendTo(t, j, entry(3))[0].At; at.Segment != 2 {
			t.Fatalf("byte %d: appended to %v", n, at)
		}
		j.Close()
	}
}

// TestForgedEntry checks that a blob that contains an entry is not taken for one after damage:
// neither with a tag of its own nor, from elsewhere in the file, with the one of the segment.
func TestForgedEntry(t *testing.T) {
	real, _ := file(t, entry(1))
	j, dir := begun(t, disk.OS{}, Options{})
	first := appendTo(t, j, entry(1))
	b, err := os.ReadFile(path(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	meta := make([]byte, align) // the blob begins at a multiple of align
	blob := bytes.Repeat(append(bytes.Clone(real[headerSize:]), b[headerSize:]...), 3)
	appendTo(t, j, Entry{Type: Record, Key: 2, Meta: meta, Blob: blob})
	last := appendTo(t, j, entry(3))
	if b, err = os.ReadFile(path(dir, 1)); err != nil {
		t.Fatal(err)
	}
	b[first[0].At.Offset+first[0].size()+20] ^= 1
	replace(t, dir, b)
	_, got, r := reopen(t, dir)
	equal(t, got, append(first, last...))
	if len(r.Damage) != 1 {
		t.Errorf("report %+v", r)
	}
}

// TestLengths checks that a length beyond the file or the bounds is not trusted, even with a
// checksum that fits.
func TestLengths(t *testing.T) {
	whole, all := file(t, entry(1), entry(40), entry(63))
	dir := t.TempDir()
	for _, at := range []int{24, 28} {
		for _, n := range []uint32{1 << 20, MaxBlob + 1, MaxMeta, MaxMeta + 1, 1 << 31, 1<<32 - 1} {
			b := bytes.Clone(whole)
			h := b[all[1].At.Offset:][:headerSize]
			binary.LittleEndian.PutUint32(h[at:], n)
			seal((*[headerSize]byte)(h))
			replace(t, dir, b)
			_, got, r := reopen(t, dir)
			equal(t, got, []found{all[0], all[2]})
			if len(r.Damage) != 1 || r.Damage[0].Bytes != all[1].size() {
				t.Errorf("length %d at %d: report %+v", n, at, r)
			}
		}
	}
}

// TestReportIsBounded damages more entries than a report lists.
func TestReportIsBounded(t *testing.T) {
	const n = 2*maxReported + 10
	whole, all := file(t, slices.Repeat([]Entry{{Type: Start, Meta: []byte("meta")}}, n)...)
	for i := 0; i < n; i += 2 {
		whole[all[i].At.Offset+headerSize]++
	}
	dir := t.TempDir()
	replace(t, dir, whole)
	_, got, r := reopen(t, dir)
	if len(got) != n/2 || len(r.Damage) != maxReported || r.Omitted != n/2-maxReported {
		t.Errorf("%d entries, %d damaged, %d omitted", len(got), len(r.Damage), r.Omitted)
	}
}

// TestHeaderBounds checks that a header beyond the bounds is not accepted, although its checksum fits.
func TestHeaderBounds(t *testing.T) {
	for _, at := range []int{24, 28} {
		h := header{typ: Start, meta: 10, blob: 10}
		b := h.encode(tag{}, align)
		binary.LittleEndian.PutUint32(b[at:], MaxMeta+1)
		seal(&b)
		if h, ok := parseHeader(b[:], tag{}, align); ok {
			t.Errorf("accepted %+v", h)
		}
	}
}
