package journal

import (
	"bytes"
	"testing"
)

// FuzzHeader checks that a header that is accepted is within its bounds, and is exactly what encode
// writes for it.
func FuzzHeader(f *testing.F) {
	seed := tag{1, 2, 3, 4, 5, 6, 7, 8}
	for _, e := range []Entry{entry(1), entry(40), {Type: Removed}} {
		h := e.header()
		b := h.encode(seed, 64)
		f.Add(b[:], int64(64), false)
		h = h.as(erasing)
		b = h.encode(seed, 128)
		f.Add(b[:], int64(128), false)
	}
	f.Add([]byte("short"), int64(0), true)
	f.Fuzz(func(t *testing.T, b []byte, at int64, repair bool) {
		if repair && len(b) >= headerSize { // past the checksum
			seal((*[headerSize]byte)(b))
		}
		var tg tag
		copy(tg[:], b)
		h, ok := parseHeader(b, tg, at)
		if !ok {
			return
		}
		if h.meta < 0 || h.meta > MaxMeta || h.blob < 0 || h.blob > MaxBlob || h.size()%align != 0 || h.size() < headerSize {
			t.Errorf("accepted %+v", h)
		}
		if got := h.encode(tg, at); !bytes.Equal(got[:], b[:headerSize]) {
			t.Errorf("encoded %x, was %x", got, b)
		}
	})
}

// FuzzScan reads an arbitrary file as a segment, and appends behind it. With repair, the checksums
// of what looks like an entry are made right.
func FuzzScan(f *testing.F) {
	whole, _ := file(f, entry(1), entry(40), Entry{Type: Removed, Key: 3}, entry(63))
	f.Add(whole, false)
	f.Add(whole[:len(whole)-70], true)
	f.Add(whole[:70], true)
	f.Add([]byte("RUNNELJ1"), false)
	f.Add([]byte{}, false)
	f.Add(append(bytes.Clone(whole), make([]byte, 300)...), true)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		if repair {
			b = bytes.Clone(b)
			for at := 0; len(b)-at >= headerSize; at += align {
				if at == 0 || bytes.Equal(b[at:at+8], b[8:16]) {
					seal((*[headerSize]byte)(b[at:]))
				}
			}
		}
		replace(t, dir, b)
		j, err := Open(dir, unsynced{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		n, end := 0, int64(0)
		_, err = j.Scan(func(at Position, typ Type, key int64, meta []byte, blob int) error {
			n++
			e := Entry{Type: typ, Key: key, Meta: meta, Blob: make([]byte, blob)}
			if e.Check() != nil || at.Offset < end || at.Offset+headerSize+int64(len(meta)+blob) > int64(len(b)) {
				t.Errorf("entry at %v with %d and %d bytes, after %d", at, len(meta), blob, end)
			}
			end = at.Offset + e.size()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		appendTo(t, j, entry(5))
		again, err := Open(dir, unsynced{}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		m := 0
		if _, err := again.Scan(func(Position, Type, int64, []byte, int) error { m++; return nil }); err != nil || m != n+1 {
			t.Errorf("%d entries, then %d, %v", n, m, err)
		}
	})
}
