package journal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Prefix begins the names of the files of a journal.
const Prefix = "journal-"

const magic = "RUNNELJ1"

// segment is a file of the journal. Journal.mu guards it, except id and tag.
type segment struct {
	id   uint32
	tag  tag
	end  int64 // entries are before it; 0 if the segment was not read
	size int64 // of the file: longer than end after a write that failed

	// Numbers of changes of the file; what differs has to be synced.
	changed, synced uint64
}

func segmentName(id uint32) string { return fmt.Sprintf("%s%08d", Prefix, id) }

// parseName returns the number of a segment. ok is false for the name of anything else.
func parseName(name string) (id uint32, ok bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(name, Prefix), 10, 32)
	return uint32(n), err == nil && segmentName(uint32(n)) == name
}

func newTag() (t tag) {
	_, _ = rand.Read(t[:]) // never fails
	return t
}

func encodeSegmentHeader(t tag, id uint32) [headerSize]byte {
	var b [headerSize]byte
	copy(b[:], magic)
	copy(b[8:], t[:])
	binary.LittleEndian.PutUint32(b[16:], id)
	seal(&b)
	return b
}

// parseSegmentHeader finds the tag of a segment in its first bytes. If the header is damaged, the
// tag of the first entry is as good: no output is stored there.
func parseSegmentHeader(b []byte, id uint32) (t tag, intact, ok bool) {
	if len(b) < headerSize {
		return tag{}, false, false
	}
	t = tag(b[8:])
	if encodeSegmentHeader(t, id) == [headerSize]byte(b) {
		return t, true, true
	}
	if isSealed(b) { // of another version, or a copy of another segment
		return tag{}, false, false
	}
	b = b[headerSize:]
	if len(b) < headerSize {
		return tag{}, false, false
	}
	t = tag(b)
	_, ok = parseHeader(b, t, headerSize)
	return t, false, ok
}

// isBegun reports whether b, the first bytes of a file, are those of a segment whose header is
// damaged or was not written completely.
func isBegun(b []byte) bool {
	if len(b) >= headerSize && isSealed(b) {
		return false
	}
	return isZero(b) || strings.HasPrefix(magic, string(b[:min(len(b), len(magic))]))
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
