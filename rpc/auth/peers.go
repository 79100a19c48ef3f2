package auth

import (
	"os"
	"strconv"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// ownUser is the source of processes of the server's own user, over a Unix socket.
type ownUser struct{}

// OwnUser returns the source that accepts processes of the server's own user, over a Unix socket
// that is not for proxies, as access.User.
func OwnUser() Source { return ownUser{} }

// Identify implements [Source].
func (ownUser) Identify(c Credential) (access.Identity, error) {
	if p := c.Peer; !p.Unix || p.Proxy || !p.Known || p.UID != os.Geteuid() {
		return access.Identity{}, ErrUnknown
	}
	return ownIdentity(), nil
}

// Accepts implements [Source].
func (ownUser) Accepts(id access.Identity) bool { return id == ownIdentity() }

func ownIdentity() access.Identity {
	return access.Identity{Principal: access.User, Credential: "uid:" + strconv.Itoa(os.Geteuid())}
}
