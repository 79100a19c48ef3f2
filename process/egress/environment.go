package egress

import "net"

// Environment returns the variables that lead a command to a proxy at an address of its own
// loopback interface, in the form of os.Environ. Programs read them in upper or in lower case. Only
// loopback itself is reached without the proxy: names are to be resolved by the proxy, so they say
// socks5h.
func Environment(addr net.Addr) []string {
	http, socks := "http://"+addr.String(), "socks5h://"+addr.String()
	const loopback = "localhost,127.0.0.1,::1"
	return []string{
		"HTTP_PROXY=" + http, "http_proxy=" + http,
		"HTTPS_PROXY=" + http, "https_proxy=" + http,
		"ALL_PROXY=" + socks, "all_proxy=" + socks,
		"NO_PROXY=" + loopback, "no_proxy=" + loopback,
	}
}
