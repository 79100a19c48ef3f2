package egress

import "time"

// The bounds of one proxy, which serves one command.
const (
	// maxConnections is the number of connections from the command. Each has at most one to a
	// server.
	maxConnections = 64
	// connectionWait is how long a further connection waits for one of them to end, and a connection
	// for room of Options.Budget. After it was refused, others are refused at once until there is
	// room.
	connectionWait = 5 * time.Second

	// requestBurst and requestRate bound the connections and the requests in each second. Further
	// ones are delayed: what the server does for them counts as nobody's processor time.
	requestBurst = 1000
	requestRate  = 500

	// headBytes is the longest head of a request or response: all bytes up to the empty line. It is
	// also what is read ahead of a connection.
	headBytes = 32 << 10
	// headTime is how long the first byte of a connection, a head whose first byte has arrived, a
	// SOCKS request and the rest of a ClientHello may take.
	headTime = 30 * time.Second
	// idleTime is how long an HTTP connection is kept between two requests. Tunnels, and requests
	// that wait for their response, may be idle for any time.
	idleTime = 2 * time.Minute
	// maxInformational is the number of responses 1xx to one request.
	maxInformational = 16
	// bodyBytes is the buffer with which a body, or a direction of a tunnel, is copied.
	bodyBytes = 32 << 10
	// tunnelBytes is the buffer of a direction of a tunnel in which little is sent.
	tunnelBytes = 2 << 10

	// maxHello is the longest ClientHello, and maxHelloRaw the same with the headers of its
	// records.
	maxHello    = 16 << 10
	maxHelloRaw = 32 << 10

	// resolveTime is how long a name may take to resolve.
	resolveTime = 10 * time.Second
	// dialTime is how long all attempts to connect may take.
	dialTime = 30 * time.Second
	// dialDelay is when the next address is tried if the attempt before is not decided (RFC 8305,
	// section 5).
	dialDelay = 250 * time.Millisecond
	// maxAddresses is the number of addresses of a name that are tried.
	maxAddresses = 16

	// lingerTime and lingerBytes bound what is still read from a peer after the reply that refuses
	// it, so that the reply is not lost by a reset.
	lingerTime  = time.Second
	lingerBytes = 256 << 10

	// maxAllowed and maxRefused are the numbers of different destinations that are told apart.
	maxAllowed = 256
	maxRefused = 64
)
