package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/auth"
)

// peerFlags are the flags that allow other users of this machine to use the Unix socket.
type peerFlags struct {
	AllowUID []string `name:"allow-uid" help:"User whose processes may use the Unix socket, as the principal uid:NAME; may be repeated." placeholder:"UID|NAME" env:"RUNNEL_ALLOW_UID"`
	AllowGID []string `name:"allow-gid" help:"Group whose members may use the Unix socket, as the principals uid:NAME; may be repeated." placeholder:"GID|NAME" env:"RUNNEL_ALLOW_GID"`
}

// allowed returns the source of the users and groups, or nil if there are none.
func (f *peerFlags) allowed() (*auth.Peers, error) {
	principals := map[int]string{}
	for _, text := range f.AllowUID {
		uid, principal, err := parseUser(text)
		if err != nil {
			return nil, &statusError{exitUsage, fmt.Errorf("--allow-uid: %w", err)}
		}
		principals[uid] = principal
	}
	var gids []int
	for _, text := range f.AllowGID {
		gid, err := parseGroup(text)
		if err != nil {
			return nil, &statusError{exitUsage, fmt.Errorf("--allow-gid: %w", err)}
		}
		gids = append(gids, gid)
	}
	if len(principals)+len(gids) == 0 {
		return nil, nil
	}
	return auth.NewPeers(principals, gids), nil
}

// others reports whether the flags allow other users than this one.
func (f *peerFlags) others() bool {
	for _, text := range f.AllowUID {
		if uid, _, err := parseUser(text); err != nil || uid != os.Geteuid() {
			return true
		}
	}
	return len(f.AllowGID) > 0
}

// parseUser returns the uid of a user and its principal.
func parseUser(text string) (uid int, principal string, err error) {
	if uid, err = parseID(text, "uid_map", "overflowuid"); err == nil {
		return uid, auth.UserPrincipal(uid), nil
	} else if !errors.Is(err, strconv.ErrSyntax) {
		return 0, "", err
	}
	u, err := user.Lookup(text)
	if err != nil {
		return 0, "", err
	}
	if uid, err = parseID(u.Uid, "uid_map", "overflowuid"); err != nil {
		return 0, "", err
	}
	return uid, auth.NamedUserPrincipal(text, uid), nil
}

func parseGroup(text string) (gid int, err error) {
	if gid, err = parseID(text, "gid_map", "overflowgid"); !errors.Is(err, strconv.ErrSyntax) {
		return gid, err
	}
	g, err := user.LookupGroup(text)
	if err != nil {
		return 0, err
	}
	return parseID(g.Gid, "gid_map", "overflowgid")
}

// parseID parses the number of a user or a group. It refuses the one that stands for all those that
// a user namespace does not have (user_namespaces(7)).
func parseID(text, mapFile, overflowFile string) (int, error) {
	id, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, err
	}
	overflow, _ := os.ReadFile("/proc/sys/kernel/" + overflowFile)
	if strings.TrimSpace(string(overflow)) == strconv.FormatUint(id, 10) && !mapsAll(mapFile) {
		return 0, fmt.Errorf("%d stands for everybody whom this user namespace does not have", id)
	}
	return int(id), nil
}

// mapsAll reports whether the user namespace of this process has all users or groups.
func mapsAll(mapFile string) bool {
	text, err := os.ReadFile("/proc/self/" + mapFile)
	if err != nil {
		return true // there are no user namespaces
	}
	f := strings.Fields(string(text))
	return len(f) == 3 && f[0] == "0" && f[2] == "4294967295"
}

// sessionOf returns who has started the session to which the process at the other end of a Unix
// socket belongs.
func (s *service) sessionOf(c syscall.Conn) (owner access.Identity, found bool, err error) {
	x, err := s.registry.SessionOfPeer(c)
	if x == nil || err != nil {
		return access.Identity{}, false, err
	}
	spec := x.Spec()
	return access.Identity{Principal: spec.Owner, Role: spec.Role, Credential: spec.Credential}, true, nil
}
