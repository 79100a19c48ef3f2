package auth

import (
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/runnel-rpc/runnel/rpc/access"
)

// ownUser is the source of processes of the server's own user, over a Unix socket.
type ownUser struct{}

// OwnUser returns the source that accepts processes of the server's own user, over a Unix socket
// that is not for proxies, as access.User.
func OwnUser() Source { return ownUser{} }

// Identify implements [Source].
func (ownUser) Identify(c Credential) (access.Identity, error) {
	if !isUser(c.Peer) || c.Peer.UID != os.Geteuid() {
		return access.Identity{}, ErrUnknown
	}
	return access.Identity{Principal: access.User, Credential: uidCredential(c.Peer.UID)}, nil
}

// Accepts implements [Source].
func (ownUser) Accepts(id access.Identity) bool {
	return id.Principal == access.User && id.Credential == uidCredential(os.Geteuid()) && id.Role != access.Admin
}

// isUser reports whether the user of a peer counts as its credential.
func isUser(p access.Peer) bool { return p.Unix && p.Known && !p.Proxy }

func uidCredential(uid int) string { return "uid:" + strconv.Itoa(uid) }

// UIDPrefix begins the principals of users of this machine.
const UIDPrefix = "uid:"

// Peers is the source of processes of users of this machine, over a Unix socket that is not for
// proxies. Their principal is uid:NAME.
type Peers struct {
	names map[int]string // the principals of the users that are accepted
	gids  []int          // of the groups whose members are accepted
}

// NewPeers returns a source that accepts the users with these uids, which have the principals, and
// the members of these groups.
func NewPeers(principals map[int]string, gids []int) *Peers { return &Peers{principals, gids} }

// Identify implements [Source]. The groups of a process are those that it had when it connected
// (SO_PEERGROUPS, socket(7)), its primary one included.
func (p *Peers) Identify(c Credential) (access.Identity, error) {
	if !isUser(c.Peer) {
		return access.Identity{}, ErrUnknown
	}
	principal, ok := p.names[c.Peer.UID]
	if !ok && len(p.gids) > 0 && p.anyGroup(c.Peer) {
		principal, ok = UserPrincipal(c.Peer.UID), true
	}
	if !ok {
		return access.Identity{}, ErrUnknown
	}
	return access.Identity{Principal: principal, Credential: uidCredential(c.Peer.UID)}, nil
}

func (p *Peers) anyGroup(peer access.Peer) bool {
	if slices.Contains(p.gids, peer.GID) {
		return true
	}
	for _, gid := range peerGroups(peer.Conn) {
		if slices.Contains(p.gids, gid) {
			return true
		}
	}
	return false
}

// Accepts implements [Source]. Who is accepted does not change.
func (p *Peers) Accepts(id access.Identity) bool {
	return strings.HasPrefix(id.Credential, "uid:") && strings.HasPrefix(id.Principal, UIDPrefix) && id.Role != access.Admin
}

// UserPrincipal returns the principal of a user of this machine: uid: and its name. It has the
// number in place of the name if the user has none, or one that cannot be part of a principal or
// could be the number of another user.
func UserPrincipal(uid int) string {
	number := strconv.Itoa(uid)
	u, err := user.LookupId(number)
	if err != nil {
		return UIDPrefix + number
	}
	return NamedUserPrincipal(u.Username, uid)
}

// NamedUserPrincipal is UserPrincipal for a user whose name is known.
func NamedUserPrincipal(name string, uid int) string {
	digits := strings.Trim(name, "0123456789") == ""
	if principal := UIDPrefix + name; !digits && access.ValidPrincipal(principal) == nil {
		return principal
	}
	return UIDPrefix + strconv.Itoa(uid)
}
