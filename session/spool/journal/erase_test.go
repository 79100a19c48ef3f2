package journal

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// secret returns an entry whose meta and blob consist of a byte that nothing else contains.
func secret() Entry {
	return Entry{Type: Record, Key: 0x5e5e5e5e, Meta: bytes.Repeat([]byte{'^'}, 150), Blob: bytes.Repeat([]byte{'^'}, 90)}
}

func content(t testing.TB, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(path(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// isGone reports whether nothing is left of the meta and the blob of an entry.
func isGone(t testing.TB, dir string, f found) bool {
	t.Helper()
	return isZero(content(t, dir)[f.At.Offset+headerSize:][:f.size()-headerSize])
}

// typeAt returns the type of an entry on the disk.
func typeAt(t testing.TB, dir string, at Position) Type {
	t.Helper()
	return Type(content(t, dir)[at.Offset+8])
}

func TestErase(t *testing.T) {
	for _, current := range []bool{true, false} {
		j, dir := begun(t, disk.OS{}, Options{})
		all := appendTo(t, j, entry(1), secret(), entry(3), Entry{Type: Removed, Key: 4})
		if !current {
			if err := j.NewSegment(); err != nil {
				t.Fatal(err)
			}
		}
		at := all[1].At
		for range 2 {
			if err := j.Erase(at); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Erase(all[3].At); err != nil { // it has no content
			t.Fatal(err)
		}
		if _, err := j.ReadMeta(at); !errors.Is(err, ErrErased) {
			t.Errorf("meta: %v", err)
		}
		if _, err := j.ReadBlob(at); !errors.Is(err, ErrErased) {
			t.Errorf("blob: %v", err)
		}
		if b := content(t, dir); !isGone(t, dir, all[1]) || bytes.Contains(b, []byte("^^^^")) {
			t.Errorf("still in the file: %q", b)
		}
		if typ := typeAt(t, dir, at); typ != erasing {
			t.Errorf("%d before the sync", typ)
		}
		if err := j.Sync(); err != nil {
			t.Fatal(err)
		}
		if typ := typeAt(t, dir, at); typ != erased {
			t.Errorf("%d after the sync", typ)
		}
		if err := j.Erase(at); err != nil {
			t.Fatal(err)
		}
		_, got, r := reopen(t, dir)
		clean(t, r)
		equal(t, got, []found{all[0], all[2]})
	}
}

// TestEraseOften exceeds the number of erasures that wait for a sync.
func TestEraseOften(t *testing.T) {
	j, dir := begun(t, disk.OS{}, Options{})
	entries := make([]Entry, maxErasures+10)
	for i := range entries {
		entries[i] = Entry{Type: Start, Meta: []byte("^")}
	}
	all := appendTo(t, j, entries...)
	for _, f := range all {
		if err := j.Erase(f.At); err != nil {
			t.Fatal(err)
		}
	}
	if len(j.erasures) != 10 {
		t.Errorf("%d erasures wait", len(j.erasures))
	}
	_, got, r := reopen(t, dir)
	clean(t, r)
	if len(got) != 0 {
		t.Errorf("%d entries left", len(got))
	}
	b := content(t, dir)
	for _, f := range all {
		if !isZero(b[f.At.Offset+headerSize:][:align]) {
			t.Fatalf("entry at %d is still in the file", f.At.Offset)
		}
	}
}

// TestEraseInterrupted ends Erase after every byte that it writes. What a restart then finds is the
// entry itself or nothing, and if the header says that it is erased, Scan erases the rest.
func TestEraseInterrupted(t *testing.T) {
	e := secret()
	for n := range headerSize + len(e.Meta) + len(e.Blob) {
		faults := disk.NewFaults(disk.OS{})
		j, dir := begun(t, faults, Options{})
		all := appendTo(t, j, entry(1), e, entry(3))
		faults.Limit(int64(n), syscall.EIO)
		if err := j.Erase(all[1].At); !errors.Is(err, syscall.EIO) {
			t.Fatalf("%d bytes written: %v", n, err)
		}
		interrupted := content(t, dir)

		after := t.TempDir()
		replace(t, after, interrupted)
		_, got, r := reopen(t, after)
		switch {
		case n >= headerSize:
			equal(t, got, []found{all[0], all[2]})
			clean(t, r)
			if !isGone(t, after, all[1]) {
				t.Fatalf("%d bytes written: not erased by Scan", n)
			}
		case len(got) == 3:
			equal(t, got, all)
			clean(t, r)
		default:
			equal(t, got, []found{all[0], all[2]})
			if len(r.Damage) != 1 || r.Damage[0].Position != all[1].At || r.Damage[0].Torn {
				t.Fatalf("%d bytes written: report %+v", n, r)
			}
		}

		// The server goes on: Erase can be repeated, unless the disk kept half a header.
		faults.Heal()
		err := j.Erase(all[1].At)
		if err != nil && (n >= headerSize || !errors.Is(err, ErrDamaged)) {
			t.Fatalf("%d bytes written: second Erase: %v", n, err)
		}
		if err == nil && !isGone(t, dir, all[1]) {
			t.Fatalf("%d bytes written: not erased by the second Erase", n)
		}
	}
}

// TestEraseReadOnly restarts after an interrupted erasure on a disk that cannot be written to.
func TestEraseReadOnly(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	j, dir := begun(t, faults, Options{})
	all := appendTo(t, j, entry(1), secret(), entry(3))
	faults.Limit(headerSize, syscall.EIO)
	if err := j.Erase(all[1].At); err == nil {
		t.Fatal("no error")
	}
	faults.Fail(disk.Write, syscall.EROFS)
	j = open(t, dir, faults, Options{})
	got, r := scan(t, j)
	equal(t, got, []found{all[0], all[2]})
	if len(r.Damage) != 1 || !errors.Is(r.Damage[0].Err, syscall.EROFS) {
		t.Errorf("report %+v", r)
	}
	faults.Heal()
	if err := j.Erase(all[1].At); err != nil || !isGone(t, dir, all[1]) {
		t.Errorf("%v", err)
	}
}

// TestEraseNotSynced checks that an erasure whose sync failed is synced again.
func TestEraseNotSynced(t *testing.T) {
	faults := disk.NewFaults(disk.OS{})
	j, dir := begun(t, faults, Options{})
	at := appendTo(t, j, secret())[0].At
	if err := j.Erase(at); err != nil {
		t.Fatal(err)
	}
	faults.Fail(disk.Sync, syscall.EIO)
	if err := j.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("%v", err)
	}
	if typ := typeAt(t, dir, at); typ != erasing {
		t.Errorf("%d after a sync that failed", typ)
	}
	faults.Heal()
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	if typ := typeAt(t, dir, at); typ != erased {
		t.Errorf("%d after the sync", typ)
	}
}
