//go:build linux

package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/client"
)

// heapGrowth bounds how many bytes of live objects a server may have more at the end than after the
// warm-up, which exercises everything once. Maps, slices and free lists keep the size of their
// peak, and the peaks of the load may be higher than those of the warm-up, within the bounds of the
// server: a thousand sessions and their replies. A leak of 100 bytes for each session exceeds this
// after 20,000 sessions, a minute of load.
const heapGrowth = 2 << 20

// memoryGrowth bounds the growth of RssAnon. Besides the heap it has the stacks of threads, of which
// the runtime ends none, the metadata of the heap, which it never returns, and pages with a few live
// objects.
const memoryGrowth = 12 << 20

// The descriptors that the server keeps for the next sessions: of each unused leaf cgroup, and of
// the lists of children (MaxChildLists of package mark); and the segments of the journal.
const (
	leafFiles     = 3
	maxChildLists = 16
	maxJournals   = 16 // more than a quarter of --spool-total; the janitor looks once a minute
)

// soakSpool is the directory of the spool.
const soakSpool = "spool"

// settle waits until no session is left, retained ones included. Those in the spool, which keeps them for
// longer, are forgotten.
func (s *soak) settle() {
	s.t.Helper()
	c, err := s.dialOver(s.t.Context(), soakAdmin.token)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	var list rpc.ListResult
	if !poll(func() bool {
		list = rpc.ListResult{}
		err := c.Call(s.t.Context(), rpc.MethodList, rpc.ListParams{}, &list)
		if s.spool {
			s.forget(c, list.Sessions)
		}
		return err == nil && len(list.Sessions) == 0
	}) {
		s.t.Errorf("%d sessions are left; the first: %.1000s", len(list.Sessions), fmt.Sprintf("%+v", list.Sessions[0]))
	}
}

// forget forgets the sessions that have ended.
func (s *soak) forget(c *client.Client, sessions []rpc.SessionStatus) {
	for _, x := range sessions {
		if x.State != "ended" {
			continue
		}
		err := c.Call(s.t.Context(), rpc.MethodForget, rpc.ForgetParams{SessionID: x.SessionID}, nil)
		if errors.Is(err, &rpc.Error{Code: rpc.CodeSessionNotFound}) { // the bounds of the spool have removed it since
			continue
		}
		if err != nil {
			s.t.Errorf("forget: %v", err)
			return
		}
		s.uses.Add(1)
	}
}

// compare fails the test if the server has more of anything than it had before the load, and more
// memory than after the warm-up.
func (s *soak) compare(before, warm figures) {
	s.t.Helper()
	var now figures
	var faults []string
	if !poll(func() bool { // goroutines and files of the last sessions may take a moment to go
		now = s.measure()
		faults = now.leaks(before, warm)
		return len(faults) == 0
	}) {
		for _, f := range faults {
			s.t.Error(f)
		}
	}
	s.t.Logf("live heap %d, %d, %d KiB; RssAnon %d, %d, %d KiB; %d goroutines, %d descriptors, %d cgroups",
		before.Heap>>10, warm.Heap>>10, now.Heap>>10, before.memory>>10, warm.memory>>10, now.memory>>10,
		sum(now.Goroutines), sum(now.descriptors), now.leaves)
}

// leaks lists what the server has more than before.
func (f figures) leaks(before, warm figures) (faults []string) {
	for _, g := range exceeding(byEntry(f.Goroutines), byEntry(before.Goroutines)) {
		faults = append(faults, fmt.Sprintf("goroutines: %s; now there are %v", g, f.Goroutines))
	}
	most := maps.Clone(before.descriptors)
	most[cgroupFiles] = soakSessions * leafFiles
	most[childLists] = maxChildLists
	most[journals] = maxJournals
	for _, d := range exceeding(f.descriptors, most) {
		faults = append(faults, "descriptors: "+d)
	}
	if f.children > before.children {
		faults = append(faults, fmt.Sprintf("%d children, %d before", f.children, before.children))
	}
	if f.populated > before.populated || f.leaves > before.leaves+soakSessions {
		faults = append(faults, fmt.Sprintf("%d cgroups, %d of them with processes; %d and %d before", f.leaves, f.populated, before.leaves, before.populated))
	}
	for _, file := range f.files {
		if !slices.Contains(before.files, file) && !strings.Contains(file, "/"+auditFile+".") && !strings.Contains(file, "/"+soakSpool+"/journal-") {
			faults = append(faults, "a file is left: "+file)
		}
	}
	if f.Heap > warm.Heap+heapGrowth {
		faults = append(faults, fmt.Sprintf("the live heap grew from %d to %d KiB", warm.Heap>>10, f.Heap>>10))
	}
	if f.memory > warm.memory+memoryGrowth && !raceDetector {
		faults = append(faults, fmt.Sprintf("RssAnon grew from %d to %d KiB", warm.memory>>10, f.memory>>10))
	}
	return faults
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// checkSlots checks that every session slot and every connection slot is free: the principals
// together get as many as the server may have, and not one more.
func (s *soak) checkSlots() {
	s.t.Helper()
	var conns []*client.Client
	if !poll(func() bool { // until the server has noticed that earlier connections are closed
		for _, p := range slotUsers {
			if c, err := s.dialOver(s.t.Context(), p.token); err == nil {
				conns = append(conns, c)
			} else if !refused(err) {
				s.t.Error(err)
			}
		}
		return len(conns) >= soakConnections
	}) || len(conns) != soakConnections {
		s.t.Errorf("%d connections were accepted, want %d", len(conns), soakConnections)
	}
	for _, p := range slotUsers {
		if c, err := s.dialOver(s.t.Context(), p.token); err == nil {
			s.t.Errorf("more than %d connections are accepted", soakConnections)
			_ = c.Close()
		}
	}
	if n := s.useSessions(conns); n != soakSessions {
		s.t.Errorf("%d sessions were accepted, want %d", n, soakSessions)
	}
	began := time.Now()
	for _, c := range conns {
		_ = c.Close() // ends its sessions
	}
	s.settle()
	s.t.Logf("all slots were free, and were freed again in %v", time.Since(began).Round(time.Millisecond))
}

// slotUsers are all principals of the server, each of which may have a share that is reserved for it.
var slotUsers = append(slices.Clone(soakPrincipals), soakAdmin)

// useSessions starts sessions on the connections, one on each after the other, until all are refused,
// and returns how many there are.
func (s *soak) useSessions(conns []*client.Client) (n int) {
	for {
		before := n
		for _, c := range conns {
			err := c.Call(s.t.Context(), rpc.MethodExecute, argv("sleep", "1000"), nil)
			if err == nil {
				n++
			} else if !errors.Is(err, &rpc.Error{Code: rpc.CodeSessionLimit}) {
				s.t.Error(err)
				return n
			}
		}
		if n == before {
			return n
		}
	}
}
