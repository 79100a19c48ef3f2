// Package egress is the proxy through which a sandboxed command reaches the destinations that were
// listed for it, and nothing else. It listens in the network namespace of the command, where
// nothing but loopback exists, and connects from that of the server.
//
// One port speaks three protocols, told apart by the first byte of a connection: HTTP CONNECT and
// requests for http URLs in absolute form (RFC 9110, section 9.3.6; RFC 9112, section 3.2.2), and
// SOCKS version 5 with CONNECT and without authentication (RFC 1928).
//
// # What is permitted
//
// The host and the port of each tunnel and each request have to be in Options.Allow. A name is
// resolved only after that, and by nothing but Options.Resolver; the connection goes to an address
// that was checked. Addresses that are not public are refused, also if a listed name resolves to
// them, unless the address itself is listed.
//
// If the first bytes of a tunnel to a name are those of a TLS handshake, and the ClientHello has a
// server name (RFC 6066, section 3) that is not permitted with the port of the tunnel, the tunnel
// ends with the alert unrecognized_name. A handshake that cannot be parsed ends it too. All else in
// a tunnel is opaque: a handshake without a server name is permitted, the inner server name of an
// encrypted ClientHello is not visible (its outer one is checked like any other), a handshake that
// begins later (STARTTLS, renegotiation) is not examined, and a server may serve other hosts than
// the one it was connected to as. So an entry of the list should not name a server that relays to
// others.
//
// # HTTP
//
// Requests are read by http.ReadRequest after their heads were checked strictly: what two readers
// might understand differently is refused. They are then written anew: only the URL decides about
// the host, Host is derived from it, and hop-by-hop fields are removed, Upgrade included, so a
// request never turns into a tunnel. Trailers are not passed on.
//
// http.Server is not used: it hides that a request had both a length and a transfer encoding, it
// does not wait for the goroutines that it hands connections over to, and it sleeps after some
// errors. Nor is http.Transport, whose goroutines nobody waits for, and which would share
// connections in ways that are not needed: a client connection has at most one connection to a
// server, which the next request to the same destination uses again.
package egress
