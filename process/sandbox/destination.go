package sandbox

import (
	"cmp"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// MaxHost is the longest name of a host in bytes, and maxLabel the longest part of one (RFC 1035,
// section 2.3.4).
const (
	MaxHost  = 253
	maxLabel = 63
)

// Destination is a host and port that a command may connect to. It is comparable: two that permit
// the same are equal if [ParseDestination] has made them.
type Destination struct {
	Host string // a name in lower case, "*." and a name for all names below it, or an IP address
	Port uint16 // 0 is every port
}

var (
	errDestination = errors.New(`must be HOST:PORT, where an IPv6 address is in brackets`)
	errPort        = errors.New("must have a port from 1 to 65535, or *")
	errHost        = errors.New(`must have the name of a host, "*." and a name, or an IP address`)
	errZone        = errors.New("must have an IP address without a zone")
	errNumeric     = errors.New("must have an IP address with four numbers, or a name that does not end in a number")
)

// ParseDestination parses HOST:PORT. HOST is a name of ASCII letters, digits, "-", "_" and dots; "*."
// and a name, which stands for all names below it, and not for itself; an IPv4 address; or an IPv6
// address in brackets. PORT is a number, or "*" for every port. The error continues a sentence that
// begins with what was parsed.
func ParseDestination(text string) (Destination, error) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return Destination{}, errDestination
	}
	host, port := text[:i], text[i+1:]
	d := Destination{}
	if port != "*" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return d, errPort
		}
		d.Port = uint16(n)
	}
	inner, bracket := strings.CutPrefix(host, "[")
	if bracket {
		if inner, bracket = strings.CutSuffix(inner, "]"); !bracket || !strings.Contains(inner, ":") {
			return d, errDestination
		}
		host = inner
	} else if strings.Contains(host, ":") {
		return d, errDestination
	}
	var err error
	d.Host, err = canonicalHost(host)
	return d, err
}

// canonicalHost returns the one spelling of a host.
func canonicalHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", errZone
		}
		return addr.Unmap().String(), nil
	}
	name := strings.ToLower(host)
	if err := checkName(strings.TrimPrefix(name, "*.")); err != nil {
		return "", err
	}
	return name, nil
}

// checkName returns an error unless a text in lower case is the name of a host. A name whose last
// part is a number is none: inet_aton(3) takes 127.1 and 0x7f000001 for addresses.
func checkName(name string) error {
	if len(name) > MaxHost {
		return errHost
	}
	var last string
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return errHost
		}
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return errHost
			}
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return errNumeric
	}
	return nil
}

// String returns the text that [ParseDestination] parses.
func (d Destination) String() string {
	host, port := d.Host, "*"
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if d.Port != 0 {
		port = strconv.Itoa(int(d.Port))
	}
	return host + ":" + port
}

// check returns an error unless ParseDestination could have made d.
func (d Destination) check() error {
	host, err := canonicalHost(d.Host)
	if err == nil && host != d.Host {
		err = errHost
	}
	return err
}

// Matches reports whether d permits a host and port. The host is a name in any case, which may end
// in a dot, or an IP address without brackets. A name never matches an address, whatever it resolves
// to, nor an address a name.
func (d Destination) Matches(host string, port uint16) bool {
	if port == 0 || d.Port != 0 && d.Port != port || strings.HasPrefix(host, "*") {
		return false
	}
	name, rooted := strings.CutSuffix(host, ".")
	name, err := canonicalHost(name)
	if _, isAddress := netip.ParseAddr(name); err != nil || rooted && isAddress == nil {
		return false
	}
	return coversHost(d.Host, name)
}

// covers reports whether d permits everything that o does.
func (d Destination) covers(o Destination) bool {
	return (d.Port == 0 || d.Port == o.Port) && coversHost(d.Host, o.Host)
}

// coversHost reports whether a host of a Destination stands for all that another one does.
func coversHost(wide, host string) bool {
	if wide == host {
		return true
	}
	suffix, wildcard := strings.CutPrefix(wide, "*")
	return wildcard && strings.HasSuffix(host, suffix) && len(host) > len(suffix)
}

// meet returns what both d and o permit; ok is false if that is nothing.
func (d Destination) meet(o Destination) (both Destination, ok bool) {
	switch {
	case coversHost(d.Host, o.Host):
		both.Host = o.Host
	case coversHost(o.Host, d.Host):
		both.Host = d.Host
	default:
		return both, false
	}
	if d.Port != 0 && o.Port != 0 && d.Port != o.Port {
		return both, false
	}
	both.Port = cmp.Or(d.Port, o.Port)
	return both, true
}

func (d Destination) compare(o Destination) int {
	return cmp.Or(cmp.Compare(d.Host, o.Host), cmp.Compare(d.Port, o.Port))
}
