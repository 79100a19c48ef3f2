package auth

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	// anyHost is the host of an origin pattern that matches every host. It is for the schemes of programs.
	anyHost = "*"
	// anyLabels begins the host of an origin pattern that matches the names below a domain.
	anyLabels = "*."
	hostChars = "abcdefghijklmnopqrstuvwxyz0123456789-_."
)

// CheckOrigin returns an error if no Origin header can match a pattern of [Chain.Origins].
func CheckOrigin(pattern string) error {
	bad := func(why string) error {
		return fmt.Errorf("%q is not an origin such as https://example.org, https://*.example.org or vscode-webview://*: %s", pattern, why)
	}
	scheme, host, found := strings.Cut(strings.TrimSuffix(pattern, "/"), "://")
	if !found || scheme == "" {
		return bad("it has no scheme")
	}
	name := strings.TrimPrefix(host, anyLabels)
	if host == anyHost {
		if isWeb(scheme) {
			return bad("every page of the web would match")
		}
		name = "a"
	}
	if strings.Contains(name, "*") {
		return bad("* has to be the host, or its first labels")
	}
	u, err := url.Parse(scheme + "://" + name)
	switch {
	case err != nil:
		return bad("it is not a URL")
	case u.Host == "" || strings.HasPrefix(u.Host, ".") || strings.HasPrefix(u.Host, ":"):
		return bad("it has no host")
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(name, "#"):
		return bad("an origin has only a scheme, a host and a port")
	case strings.HasSuffix(u.Host, ":"):
		return bad("its port is not a number")
	case u.Port() != "" && u.Port() == defaultPorts[u.Scheme]:
		return bad("browsers leave out the default port")
	case u.Scheme == "ws" || u.Scheme == "wss":
		return bad("the scheme is that of the page: http or https")
	}
	if why := notSent(u); why != "" {
		return bad(why)
	}
	return nil
}

// notSent returns why browsers do not write the host and the port of a URL in this way, or "" if they may:
// they send what the URL standard (https://url.spec.whatwg.org) makes of a host.
func notSent(u *url.URL) string {
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
			return "its port has to be a number from 0 to 65535, without leading zeros"
		}
	}
	host := strings.ToLower(u.Hostname())
	if strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "browsers send such a name in ASCII, as xn--…"
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if v6 := strings.HasPrefix(u.Host, "["); v6 || last != "" && strings.Trim(last, "0123456789") == "" {
		addr, err := netip.ParseAddr(host)
		if err != nil || addr.Zone() != "" || addr.Is6() != v6 || !addr.Is4In6() && addr.String() != host {
			return "browsers write an address as 127.0.0.1 or [::1]"
		}
	}
	return ""
}

// isWeb reports whether a scheme is one of web pages, which anybody can publish.
func isWeb(scheme string) bool { return defaultPorts[strings.ToLower(scheme)] != "" }

// defaultPorts are the ports that an origin leaves out (RFC 6454 §4, §6.2).
var defaultPorts = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443"}

func (c *Chain) originAllowed(u *url.URL) bool {
	return slices.ContainsFunc(c.Origins, func(pattern string) bool {
		pattern = strings.TrimSuffix(pattern, "/")
		return strings.EqualFold(pattern, u.Scheme+"://"+u.Host) || matchesOrigin(strings.ToLower(pattern), u)
	})
}

// matchesOrigin reports whether an origin matches a pattern whose host begins with *.
func matchesOrigin(pattern string, u *url.URL) bool {
	scheme, host, _ := strings.Cut(pattern, "://")
	if !strings.HasPrefix(host, anyHost) || scheme != u.Scheme || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	origin := strings.ToLower(u.Host)
	if host == anyHost {
		return u.Port() == "" && !isWeb(scheme)
	}
	labels, ok := strings.CutSuffix(origin, strings.TrimPrefix(host, anyHost)) // with the dot, and the port
	return ok && strings.HasPrefix(host, anyLabels) && labels != "" && strings.Trim(labels, hostChars) == "" &&
		!strings.HasPrefix(labels, ".") && !strings.HasSuffix(labels, ".") && !strings.Contains(labels, "..")
}
