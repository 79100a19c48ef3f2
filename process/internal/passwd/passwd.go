// Package passwd reads the files of users and groups (passwd(5), group(5)). It asks no other source
// of the name service (nsswitch.conf(5)), which may block for any time.
package passwd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrUnknown means that there is no such user or group in the file.
var ErrUnknown = errors.New("not in the file")

// Account is a line of the file of users.
type Account struct {
	Name        string
	UID, GID    uint32
	Home, Shell string // as in the file, which may be ""
}

// MaxFileBytes is how large a file may be.
const MaxFileBytes = 64 << 20

// checkInterval is how long a file is not looked at again.
const checkInterval = time.Second

// Files are the files of users and groups. Its methods may be called from any goroutine. They look
// at most once a second whether a file has changed, and then read it.
type Files struct {
	users  file[*table]
	groups file[*groups]
}

// Open returns the files at these paths. It does not read them.
func Open(users, groups string) *Files {
	f := &Files{}
	f.users.path, f.users.parse = users, parseUsers
	f.groups.path, f.groups.parse = groups, parseGroups
	return f
}

// System is the files of this machine.
var System = Open("/etc/passwd", "/etc/group")

// Account returns the account of a user by its name or, if the name is a decimal number that is no
// name, by its id. The first line counts. The error wraps ErrUnknown, or is that of the file.
func (f *Files) Account(name string) (Account, error) {
	t, err := f.users.get()
	if err != nil {
		return Account{}, err
	}
	if a, ok := t.byName[name]; ok {
		return a, nil
	}
	if id, ok := parseID(name); ok {
		if a, ok := t.byID[id]; ok {
			return a, nil
		}
	}
	return Account{}, fmt.Errorf("user %q: %w %s", name, ErrUnknown, f.users.path)
}

// Group returns the id of a group by its name or, as Account, by its number.
func (f *Files) Group(name string) (uint32, error) {
	g, err := f.groups.get()
	if err != nil {
		return 0, err
	}
	if id, ok := g.byName[name]; ok {
		return id, nil
	}
	if id, ok := parseID(name); ok && g.ids[id] {
		return id, nil
	}
	return 0, fmt.Errorf("group %q: %w %s", name, ErrUnknown, f.groups.path)
}

// GroupsOf returns the ids of the groups of which a user is a member, and its own group, in
// ascending order, as initgroups(3).
func (f *Files) GroupsOf(a Account) ([]uint32, error) {
	g, err := f.groups.get()
	if err != nil {
		return nil, err
	}
	all := append([]uint32{a.GID}, g.of[a.Name]...)
	slices.Sort(all)
	return slices.Compact(all), nil
}

// file is a file with its parsed content.
type file[T any] struct {
	path  string
	parse func(text string) T

	mu      sync.Mutex
	checked time.Time
	info    os.FileInfo
	content T
}

// get returns the content of the file, which it reads if that has changed. It does not hold the lock
// meanwhile, so callers at the same moment may read it too.
func (f *file[T]) get() (content T, err error) {
	now := time.Now()
	f.mu.Lock()
	content, known, fresh := f.content, f.info, now.Sub(f.checked) < checkInterval
	f.mu.Unlock()
	if known != nil && fresh {
		return content, nil
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return content, err
	}
	if known == nil || !os.SameFile(info, known) || info.Size() != known.Size() || !info.ModTime().Equal(known.ModTime()) {
		text, err := read(f.path)
		if err != nil {
			return content, err
		}
		content = f.parse(text)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.After(f.checked) { // else another caller has looked at the file since
		f.content, f.info, f.checked = content, info, now
	}
	return content, nil
}

func read(path string) (string, error) {
	r, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if err == nil && len(text) > MaxFileBytes {
		err = fmt.Errorf("%s has more than %d bytes", path, MaxFileBytes)
	}
	return string(text), err
}

// table is the users of a file.
type table struct {
	byName map[string]Account
	byID   map[uint32]Account
}

// parseUsers skips comments and malformed lines, as getpwent(3).
func parseUsers(text string) *table {
	t := &table{make(map[string]Account), make(map[uint32]Account)}
	for line := range strings.SplitSeq(text, "\n") {
		fields := strings.Split(line, ":")
		if len(fields) != 7 || !validName(fields[0]) {
			continue
		}
		uid, ok := parseID(fields[2])
		gid, ok2 := parseID(fields[3])
		if !ok || !ok2 {
			continue
		}
		a := Account{fields[0], uid, gid, fields[5], fields[6]}
		if _, ok := t.byName[a.Name]; !ok {
			t.byName[a.Name] = a
		}
		if _, ok := t.byID[uid]; !ok {
			t.byID[uid] = a
		}
	}
	return t
}

// groups are the groups of a file.
type groups struct {
	byName map[string]uint32
	ids    map[uint32]bool
	of     map[string][]uint32 // by the name of a member
}

func parseGroups(text string) *groups {
	g := &groups{make(map[string]uint32), make(map[uint32]bool), make(map[string][]uint32)}
	for line := range strings.SplitSeq(text, "\n") {
		fields := strings.Split(line, ":")
		if len(fields) != 4 || !validName(fields[0]) {
			continue
		}
		gid, ok := parseID(fields[2])
		if !ok {
			continue
		}
		if _, ok := g.byName[fields[0]]; !ok {
			g.byName[fields[0]] = gid
		}
		g.ids[gid] = true
		for member := range strings.SplitSeq(fields[3], ",") {
			if member != "" {
				g.of[member] = append(g.of[member], gid)
			}
		}
	}
	return g
}

// validName is false for comments and for the entries of NIS, which begin with + or -.
func validName(name string) bool {
	return name != "" && name[0] != '#' && name[0] != '+' && name[0] != '-'
}

// parseID parses a decimal id, except 2^32-1, which is none.
func parseID(text string) (uint32, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil && n != 1<<32-1 && text[0] != '+'
}
