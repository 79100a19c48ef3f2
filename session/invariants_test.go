package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/runnel-rpc/runnel/process"
)

// panics returns what f panics with, as text; "" if it does not.
func panics(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

func TestForbiddenStatesPanic(t *testing.T) {
	for _, bad := range []sessionStatus{
		{state: Ended, start: starting{failure: errors.New("x")}},
		{state: Starting},
		{state: Queued},
	} {
		if got, want := panics(func() { bad.move(Paused) }), fmt.Sprintf("paused after %v", bad.state); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestPhasesAdvanceInOrder(t *testing.T) {
	allowed := map[[2]endPhase]bool{
		{notEnding, requested}: true, {notEnding, signaled}: true, {notEnding, exited}: true,
		{requested, signaled}: true, {signaled, exited}: true,
		{exited, draining}: true, {exited, sweeping}: true, {draining, sweeping}: true, {sweeping, done}: true,
	}
	for from := notEnding; from <= done; from++ {
		for to := notEnding; to <= done; to++ {
			e := ending{phase: from}
			got := panics(func() { e.advance(to) })
			if want := !allowed[[2]endPhase{from, to}]; (got != "") != want {
				t.Errorf("%v after %v: panic %q, want one: %v", to, from, got, want)
			}
		}
	}
}

// TestContradictionsPanic checks that no update can leave parts of the status that contradict each
// other.
func TestContradictionsPanic(t *testing.T) {
	p, rec := new(process.Process), new(Record)
	failed := starting{failure: errors.New("x")}
	for name, c := range map[string]struct {
		status sessionStatus
		ok     bool
	}{
		"queued":                               {sessionStatus{}, true},
		"queued, end requested":                {sessionStatus{end: ending{phase: requested}}, true},
		"queued, signaled":                     {sessionStatus{end: ending{phase: signaled}}, false},
		"starting":                             {sessionStatus{state: Starting}, true},
		"starting, end requested":              {sessionStatus{state: Starting, end: ending{phase: requested}}, true},
		"starting with a record":               {sessionStatus{state: Starting, record: rec}, false},
		"starting, signaled":                   {sessionStatus{state: Starting, end: ending{phase: signaled}}, false},
		"more attachments than holds":          {sessionStatus{holds: -1}, false},
		"running":                              {sessionStatus{state: Running, proc: p}, true},
		"running without a process":            {sessionStatus{state: Running}, false},
		"running, end requested":               {sessionStatus{state: Running, proc: p, end: ending{phase: requested}}, false},
		"paused, exited":                       {sessionStatus{state: Paused, proc: p, end: ending{phase: exited}}, false},
		"ending, signaled":                     {sessionStatus{state: Ending, proc: p, end: ending{phase: signaled}}, true},
		"ending, sweeping":                     {sessionStatus{state: Ending, proc: p, end: ending{phase: sweeping}}, true},
		"ending, not ending":                   {sessionStatus{state: Ending, proc: p}, false},
		"ending, done":                         {sessionStatus{state: Ending, proc: p, end: ending{phase: done}}, false},
		"ended without a record":               {sessionStatus{state: Ended}, false},
		"ended with a record, done":            {sessionStatus{state: Ended, record: rec, end: ending{phase: done}}, true},
		"ended with a record, sweeping":        {sessionStatus{state: Ended, record: rec, end: ending{phase: sweeping}}, false},
		"failed":                               {sessionStatus{state: Ended, start: failed}, true},
		"failed, end requested":                {sessionStatus{state: Ended, start: failed, end: ending{phase: requested}}, true},
		"failed, signaled":                     {sessionStatus{state: Ended, start: failed, end: ending{phase: signaled}}, false},
		"not ended, although its start failed": {sessionStatus{state: Starting, start: failed}, false},
	} {
		if got := panics(c.status.check); (got == "") != c.ok {
			t.Errorf("%s: panic %q, want none: %v", name, got, c.ok)
		}
	}
}

// TestUpdateInterruptsTheSupervisor checks when a wait of the supervisor ends: for descendants when
// the end begins, for output when draining is skipped, and for the tree when the grace has passed.
func TestUpdateInterruptsTheSupervisor(t *testing.T) {
	for name, c := range map[string]struct {
		end         ending
		interrupted bool
	}{
		"not ending":              {ending{phase: notEnding}, false},
		"signaled":                {ending{phase: signaled}, true},
		"exited":                  {ending{phase: exited}, true},
		"draining":                {ending{phase: draining}, false},
		"draining, grace over":    {ending{phase: draining, graceOver: true}, false},
		"draining, skipped":       {ending{phase: draining, skipDrain: true}, true},
		"sweeping":                {ending{phase: sweeping}, false},
		"sweeping, drain skipped": {ending{phase: sweeping, skipDrain: true}, false},
		"sweeping, grace over":    {ending{phase: sweeping, graceOver: true}, true},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		c.end.interrupt = cancel
		c.end.interruptWait()
		if got := ctx.Err() != nil; got != c.interrupted || got != (c.end.interrupt == nil) {
			t.Errorf("%s: interrupted %v, want %v", name, got, c.interrupted)
		}
		cancel()
	}
}
