package cgroup

import (
	"errors"
	"strconv"
	"strings"

	"github.com/runnel-rpc/runnel/process/internal/containment"
	"github.com/runnel-rpc/runnel/process/internal/fdreserve"
	"github.com/runnel-rpc/runnel/process/internal/procfs"
	"github.com/runnel-rpc/runnel/process/internal/proctable"
)

var errUnusedLeaf = errors.New("a process is in the cgroup of a tree that was closed")

// tag records the tag of the tree that is started in a leaf, until give.
func (s *subtree) tag(l *leaf, tag any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tags == nil {
		s.tags = make(map[int]any)
	}
	s.tags[l.number] = tag
}

// TagOf goes by the leaf of the process, which it cannot change without the rights of the server,
// then by leaders and marks (see mark.Table), and then by the leaves of the ancestors in this
// server's tree.
func (p *Provider) TagOf(a *proctable.Ancestry) (tag any, m containment.Membership, err error) {
	if tag, found, err := p.subtree.tagOf(a.Process().PID); found || err != nil {
		return tag, proven(found), err
	}
	if tag, m, err = p.table.TagOf(a); m != containment.NoMember || err != nil || !a.OfThis {
		return tag, m, err
	}
	for _, e := range a.Chain[1:] {
		if tag, found, err := p.subtree.tagOf(e.PID); found || fdreserve.Exhausted(err) {
			return tag, proven(found), err
		}
	}
	return nil, containment.NoMember, nil
}

func proven(found bool) containment.Membership {
	if found {
		return containment.Proven
	}
	return containment.NoMember
}

// tagOf returns the tag of the tree in whose leaf a process is.
func (s *subtree) tagOf(pid int) (tag any, found bool, err error) {
	groups, err := procfs.ReadCgroups(pid)
	if err != nil {
		return nil, false, err
	}
	number, inside := s.leafOf(groups.V2)
	if !inside {
		return nil, false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if tag, found = s.tags[number]; !found {
		return nil, false, errUnusedLeaf
	}
	return tag, true, nil
}

// leafOf returns the number of the leaf that contains a cgroup, which is as in /proc/PID/cgroup.
func (s *subtree) leafOf(cgroup string) (number int, inside bool) {
	rest, ok := strings.CutPrefix(cgroup, s.shown+s.below+"/")
	if !ok {
		return 0, false
	}
	name, _, _ := strings.Cut(rest, "/")
	number, err := strconv.Atoi(name)
	return number, err == nil // otherwise it is ServerLeaf
}
