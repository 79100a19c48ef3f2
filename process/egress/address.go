package egress

import "net/netip"

// special4 are the IPv4 networks that are not public: those of the registry of special-purpose
// addresses (RFC 6890) that are not globally reachable, multicast and reserved ones, and the
// addresses of a cloud's metadata services that are in none of these.
var special4 = prefixes(
	"0.0.0.0/8",        // this network, RFC 791
	"10.0.0.0/8",       // private, RFC 1918
	"100.64.0.0/10",    // carrier-grade NAT, RFC 6598; metadata of Alibaba Cloud
	"127.0.0.0/8",      // loopback, RFC 1122
	"168.63.129.16/32", // the host of a machine in Azure
	"169.254.0.0/16",   // link-local, RFC 3927; metadata of most clouds
	"172.16.0.0/12",    // private, RFC 1918
	"192.0.0.0/24",     // IETF protocol assignments, RFC 6890; metadata of Oracle Cloud
	"192.0.2.0/24",     // documentation, RFC 5737
	"192.88.99.0/24",   // 6to4 relays, RFC 7526
	"192.168.0.0/16",   // private, RFC 1918
	"198.18.0.0/15",    // benchmarks, RFC 2544
	"198.51.100.0/24",  // documentation, RFC 5737
	"203.0.113.0/24",   // documentation, RFC 5737
	"224.0.0.0/4",      // multicast, RFC 5771
	"240.0.0.0/4",      // reserved, RFC 1112; broadcast, RFC 8190
)

// special6 are the networks within global6 that are not public.
var special6 = prefixes(
	"2001::/23",     // IETF protocol assignments, RFC 2928: Teredo, benchmarks, ORCHID
	"2001:db8::/32", // documentation, RFC 3849
	"3fff::/20",     // documentation, RFC 9637
)

var (
	global6 = netip.MustParsePrefix("2000::/3")     // global unicast, RFC 4291; all else is special
	sixTo4  = netip.MustParsePrefix("2002::/16")    // has an IPv4 address in bytes 2 to 5, RFC 3056
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // has an IPv4 address in its last bytes, RFC 6052
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// public reports whether an address is one of the public internet: not private, loopback,
// link-local, multicast, or of another special purpose, and not a form of such an IPv4 address.
func public(addr netip.Addr) bool {
	addr = addr.Unmap()
	if addr.Is4() {
		return !contained(special4, addr)
	}
	bytes := addr.As16()
	switch {
	case nat64.Contains(addr):
		return public(netip.AddrFrom4([4]byte(bytes[12:16])))
	case sixTo4.Contains(addr):
		return public(netip.AddrFrom4([4]byte(bytes[2:6])))
	}
	return addr.Zone() == "" && global6.Contains(addr) && !contained(special6, addr)
}

func contained(list []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range list {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
