package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// maxShownMatches is how many ids an error about an ambiguous prefix lists.
const maxShownMatches = 4

// idChars are the characters of a session id.
const idChars = "0123456789ABCDEFabcdef-"

func isIDPrefix(s string) bool {
	return s != "" && len(s) <= len(uuid.Nil.String()) && strings.Trim(s, idChars) == ""
}

// resolver finds the sessions that arguments name: by the id, by the name if the server supports
// names, or by a prefix that only one id has; of another principal with PRINCIPAL/ before it. It
// may be used concurrently.
type resolver struct {
	ctx  context.Context
	conn *client.Client

	mu    sync.Mutex
	lists map[string]func() ([]string, error) // the ids of the sessions of a principal, listed once
}

func newResolver(ctx context.Context, conn *client.Client) *resolver {
	return &resolver{ctx: ctx, conn: conn, lists: make(map[string]func() ([]string, error))}
}

// resolveID returns the id of the session that an argument names.
func resolveID(ctx context.Context, conn *client.Client, arg string) (string, error) {
	return newResolver(ctx, conn).resolve(arg)
}

// resolve returns the id of the session that an argument names, in the form that the server uses.
func (r *resolver) resolve(arg string) (string, error) {
	principal, name, other := strings.Cut(arg, "/")
	if !other {
		principal, name = "", arg
	}
	if name == "" { // an unset variable of a script; it must not select the only session
		return "", errors.New("session id is empty")
	}
	if other {
		if err := access.ValidPrincipal(principal); err != nil {
			return "", err
		}
	}
	if id, err := uuid.Parse(name); err == nil && len(name) == len(id.String()) {
		return strings.TrimSuffix(arg, name) + id.String(), nil
	}
	names := rpc.ValidName(name) && hasCapability(r.conn.Connected(), "name")
	if names {
		id, err := r.byName(arg)
		if !errors.Is(err, &rpc.Error{Code: rpc.CodeSessionNotFound}) {
			return id, err
		}
	}
	found, err := r.byPrefix(principal, name)
	switch {
	case err != nil:
		return "", err
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", ambiguous(arg, found)
	case names:
		return "", fmt.Errorf("no session has the name %q, or an id that begins with it", arg)
	}
	return "", fmt.Errorf("no session has an id that begins with %q", arg)
}

func (r *resolver) byName(name string) (string, error) {
	var s struct {
		SessionID string `json:"session_id"`
	}
	err := r.conn.CallIdempotent(r.ctx, rpc.MethodStatus, rpc.SessionParams{SessionID: name}, &s)
	return s.SessionID, err
}

// byPrefix returns the ids of a principal's sessions that begin with prefix. Principal "" is the
// caller.
func (r *resolver) byPrefix(principal, prefix string) (found []string, err error) {
	if !isIDPrefix(prefix) {
		return nil, nil
	}
	r.mu.Lock()
	list := r.lists[principal]
	if list == nil {
		list = sync.OnceValues(func() ([]string, error) { return r.listIDs(principal) })
		r.lists[principal] = list
	}
	r.mu.Unlock()
	ids, err := list()
	prefix = strings.ToLower(prefix)
	for _, id := range ids {
		if strings.HasPrefix(id[strings.LastIndexByte(id, '/')+1:], prefix) {
			found = append(found, id)
		}
	}
	return found, err
}

func (r *resolver) listIDs(principal string) (ids []string, err error) {
	p := rpc.ListParams{Principal: principal}
	if server := r.conn.Connected(); principal == "" && server.Role != "" && server.Role != access.Run.String() {
		p.Principal = server.Principal // else the list has the sessions of others, too
	}
	err = eachPage(r.ctx, r.conn, p, func(page *rpc.ListResult) error {
		for _, s := range page.Sessions {
			ids = append(ids, s.SessionID)
		}
		return nil
	})
	return ids, err
}

func ambiguous(arg string, found []string) error {
	shown, more := found, ""
	if len(found) > maxShownMatches {
		shown, more = found[:maxShownMatches], ", …"
	}
	return fmt.Errorf("%d sessions have an id that begins with %q: %s%s", len(found), arg, strings.Join(shown, ", "), more)
}
