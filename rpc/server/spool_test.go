//go:build linux

package server_test

import (
	"cmp"
	"syscall"
	"testing"
	"time"

	"github.com/runnel-rpc/runnel/rpc/server"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/spool"
	"github.com/runnel-rpc/runnel/session/spool/disk"
)

// openSpool opens the spool of the settings, if they have one.
func (set *settings) openSpool(t testing.TB) {
	t.Helper()
	if set.Spool == nil || set.NoSpool {
		return
	}
	o := *set.Spool
	o.SessionBytes = cmp.Or(o.SessionBytes, 1<<30)
	o.TotalBytes = cmp.Or(o.TotalBytes, 1<<30)
	o.Retain = cmp.Or(o.Retain, time.Hour)
	o.MaxSessions = cmp.Or(o.MaxSessions, 1000)
	o.WindowBytes = cmp.Or(o.WindowBytes, 64<<20)
	o.Lost, o.Log = session.LostRecord, set.Session.Log
	faults, ok := o.Files.(*disk.Faults)
	if !ok {
		faults = disk.NewFaults(disk.OS{})
		o.Files = faults
	}
	sp, err := spool.Open(cmp.Or(set.SpoolDir, t.TempDir()), o)
	if err != nil {
		t.Fatal(err)
	}
	if set.SpoolFull > 0 {
		faults.Limit(set.SpoolFull, syscall.ENOSPC)
	}
	set.Session.Spool, set.Session.Commands = sp, server.CommandCodec
}
