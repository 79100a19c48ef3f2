package egress

import (
	"encoding/binary"
	"errors"
)

var errHello = errors.New("not a valid ClientHello")

// hello collects the ClientHello at the beginning of a connection, if that is a TLS handshake.
type hello struct {
	raw     []byte // what was read
	next    int    // where the first record begins that is not in message
	message []byte // the handshake message, which may be divided among records
	tls     bool   // raw begins with a TLS record
	begun   bool   // the rest has to arrive in time
}

// The records of TLS (RFC 8446, section 5.1; RFC 5246, appendix A.1).
const (
	firstRecordType = 20
	handshakeRecord = 22
	lastRecordType  = 24
	recordHeader    = 5
	maxRecord       = 1 << 14
	clientHello     = 1
)

// complete reports whether nothing more has to be read: raw has the whole ClientHello, or begins
// with no TLS record. Records before the ClientHello, and any that a server might understand
// differently, are an error.
func (h *hello) complete() (bool, error) {
	if len(h.raw) == 0 {
		return false, nil
	}
	if h.raw[0] < firstRecordType || h.raw[0] > lastRecordType {
		return true, nil
	}
	if len(h.raw) == 1 {
		return false, nil
	}
	if h.tls = h.raw[1] == 3; !h.tls {
		return true, nil
	}
	for {
		if len(h.message) >= 4 {
			size := int(h.message[1])<<16 | int(h.message[2])<<8 | int(h.message[3])
			if h.message[0] != clientHello || size > maxHello {
				return false, errHello
			}
			if len(h.message) >= 4+size {
				h.message = h.message[4 : 4+size]
				return true, nil
			}
		}
		if len(h.raw) > maxHelloRaw {
			return false, errHello
		}
		record := h.raw[h.next:]
		if len(record) < recordHeader {
			return false, nil
		}
		size := int(binary.BigEndian.Uint16(record[3:]))
		if record[0] != handshakeRecord || record[1] != 3 || size == 0 || size > maxRecord {
			return false, errHello
		}
		if len(record) < recordHeader+size {
			return false, nil
		}
		h.message = append(h.message, record[recordHeader:recordHeader+size]...)
		h.next += recordHeader + size
	}
}

// serverName returns the server name of a complete ClientHello (RFC 8446, section 4.1.2), or "" if
// it has none.
func serverName(message []byte) (string, error) {
	s := octets(message)
	var session, suites, compressions, extensions octets
	if !s.skip(2+32) || !s.vector(1, &session) || !s.vector(2, &suites) || !s.vector(1, &compressions) {
		return "", errHello
	}
	if len(s) == 0 { // without extensions, as before TLS 1.2
		return "", nil
	}
	if !s.vector(2, &extensions) || len(s) > 0 {
		return "", errHello
	}
	name, found := "", false
	for len(extensions) > 0 {
		var kind uint16
		var data octets
		if !extensions.uint16(&kind) || !extensions.vector(2, &data) {
			return "", errHello
		}
		if kind != 0 { // server_name
			continue
		}
		if found {
			return "", errHello
		}
		found = true
		var err error
		if name, err = hostName(data); err != nil {
			return "", err
		}
	}
	return name, nil
}

// hostName parses the extension server_name (RFC 6066, section 3). There is one type of name, and
// at most one name of a type.
func hostName(data octets) (string, error) {
	var list, name octets
	if !data.vector(2, &list) || len(data) > 0 || len(list) == 0 || list[0] != 0 {
		return "", errHello
	}
	list = list[1:]
	if !list.vector(2, &name) || len(list) > 0 || len(name) == 0 {
		return "", errHello
	}
	return string(name), nil
}

// octets are bytes that are taken from the front.
type octets []byte

func (o *octets) skip(n int) bool {
	if len(*o) < n {
		return false
	}
	*o = (*o)[n:]
	return true
}

func (o *octets) uint16(v *uint16) bool {
	if len(*o) < 2 {
		return false
	}
	*v = binary.BigEndian.Uint16(*o)
	return o.skip(2)
}

// vector takes a vector that begins with its length in n bytes, 1 or 2.
func (o *octets) vector(n int, v *octets) bool {
	if len(*o) < n {
		return false
	}
	size := int((*o)[0])
	if n == 2 {
		size = size<<8 | int((*o)[1])
	}
	if len(*o) < n+size {
		return false
	}
	*v = (*o)[n : n+size]
	return o.skip(n + size)
}
