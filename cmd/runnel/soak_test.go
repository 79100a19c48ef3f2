//go:build linux

package main

import (
	"context"
	"errors"
	stdflag "flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	soakDuration = stdflag.Duration("soak", time.Second, "how long TestSoak loads the server; -timeout has to be longer")
	soakSeed     = stdflag.Uint64("soak-seed", 0, "what the clients of TestSoak do depends on this number; 0 chooses one")
)

const (
	soakSessions    = 16 // --max-sessions
	soakConnections = 20 // --max-connections
	soakActors      = 16 // which have up to four sessions and two connections each: more than the limits
	soakRetain      = time.Second
	// A client is disconnected if it sends nothing for three intervals, or takes nothing for the
	// timeout: longer than a busy machine keeps this process from running.
	soakPings        = 2 * time.Second
	soakWriteTimeout = 3 * time.Second
	// soakRound is after how much load the server has to be as it was at the beginning.
	soakRound = time.Minute
	// soakActionTimeout bounds an action. One takes some seconds at most, unless the server or the
	// machine hangs.
	soakActionTimeout = 90 * time.Second
)

// soak is one run of TestSoak: a server, the clients that load it, and what is known of all sessions.
type soak struct {
	t         *testing.T
	dir       *testDir
	server    *program
	url       string
	tokens    *tokensFile
	access    *soakAccess // nil without TLS, JWTs and a policy
	spool     bool
	seed      uint64
	actors    []*actor
	ledger    *ledger
	tally     *tally
	recorders map[string]*recorder // by principal
	audit     sync.Mutex           // held while the audit log is rotated
	uses      atomic.Int64         // of the right of an administrator that have a line in the audit log
	audited   int64                // the sequence number of the last line of the audit log that was checked
}

// TestSoak loads a server at its limits with clients of all kinds for as long as -soak says, a third of
// the time with TLS, JWTs and a policy, and a third of it with a spool. After each round everything that the server had taken has to
// be free again, and every session has to have exactly one completion record, which the audit log has
// too.
func TestSoak(t *testing.T) {
	for _, kind := range []string{"plain", "access", "spool"} {
		if kind == "plain" && *soakDuration < soakRound && rounds(0, 1) == 0 { // the others have the same clients, and more
			continue
		}
		t.Run(kind, func(t *testing.T) {
			if *soakDuration < soakRound { // most of the time is that of the last actions, which wait
				t.Parallel()
			}
			soakServer(t, kind, *soakDuration/3)
		})
	}
}

func soakServer(t *testing.T, kind string, duration time.Duration) {
	s := startSoak(t, kind)
	s.checkSlots() // all are used once, so the server has what it keeps for the next sessions
	before := s.measure()
	s.round(min(duration, soakRound)/8, "warm-up")
	warm := s.measure()
	for left := duration; left > 0 && !t.Failed(); left -= soakRound {
		s.round(min(left, soakRound), "load")
		s.compare(before, warm)
	}
	s.tally.check(t, duration >= 30*time.Second)
	s.checkSlots()
	if t.Failed() {
		s.logAborted()
		t.Logf("repeat with: go test ./cmd/runnel -run %s -timeout 0 -soak %v -soak-seed %d", t.Name(), *soakDuration, s.seed)
	}
}

// logAborted logs the last connections that the server has closed, and why.
func (s *soak) logAborted() {
	text, err := os.ReadFile(s.server.stderr)
	if err != nil {
		s.t.Error(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "connection aborted") {
			lines = append(lines, line)
		}
	}
	s.t.Logf("%d connections were aborted, the last ones:\n%s", len(lines), strings.Join(lines[max(0, len(lines)-30):], ""))
}

// round loads the server and checks all sessions.
func (s *soak) round(d time.Duration, what string) {
	s.t.Helper()
	s.load(d, what)
	s.settle()
	s.ledger.check(s.t)
	s.checkAudit()
	s.ledger.clear()
}

func startSoak(t *testing.T, kind string) *soak {
	s := &soak{t: t, spool: kind == "spool", dir: newTestDir(t), seed: *soakSeed, ledger: newLedger(), tally: newTally()}
	if s.seed == 0 {
		s.seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s.seed)
	s.writeFiles()
	if kind == "access" {
		s.access = newSoakAccess(s)
	}
	spool := []string{"--spool-dir="}
	if s.spool {
		spool = []string{"--spool-dir=" + soakSpool, "--spool-bytes=4MiB", "--spool-total=64MiB"}
	}
	s.server = s.dir.serveWithFigures(t, append(append(s.access.flags(), spool...),
		fmt.Sprintf("--max-sessions=%d", soakSessions), fmt.Sprintf("--max-connections=%d", soakConnections),
		"--tokens=tokens", "--principals=principals", "--shared-user", "--audit="+auditFile,
		"--max-unauthenticated=32", "--max-in-flight=128", "--max-retained=500", "--retain="+soakRetain.String(),
		"--replay-bytes=256KiB", "--replay-total=4MiB", "--max-message-bytes=256KiB",
		"--grace=300ms", "--linger=2s", "--ping-interval="+soakPings.String(), "--write-timeout="+soakWriteTimeout.String())...)
	ready, err := readReady(s.dir.path("ready"))
	if err != nil {
		t.Fatal(err)
	}
	s.url = ready.URL
	for i := range soakActors {
		s.actors = append(s.actors, &actor{
			soak: s, principal: soakPrincipals[i%len(soakPrincipals)], random: rand.New(rand.NewPCG(s.seed, uint64(i))),
		})
	}
	return s
}

// writeFiles writes the files that the server and its clients need.
func (s *soak) writeFiles() {
	s.t.Helper()
	s.tokens = newTokensFile(s.dir.path("tokens"))
	err := s.tokens.change(func(map[string]string) {})
	for _, p := range soakPrincipals {
		err = errors.Join(err, os.WriteFile(s.dir.path(p.name+".token"), []byte(p.token), 0o600))
	}
	err = errors.Join(err, os.WriteFile(s.dir.path("principals"), []byte(soakQuotas), 0o600))
	if err = errors.Join(err, os.WriteFile(s.dir.path(limitedFile), nil, 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

// load runs all actors for some time, and waits until each has finished its last action, and until
// the record of every session is known.
func (s *soak) load(d time.Duration, what string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	defer cancel()
	s.recorders = make(map[string]*recorder)
	for _, p := range soakPrincipals {
		s.recorders[p.name] = newRecorder(s, p)
	}
	var actors sync.WaitGroup
	for _, a := range s.actors {
		actors.Go(func() { a.run(ctx) })
	}
	peak := peakOf(s.server.Process.Pid, actors.Wait)
	for _, r := range s.recorders {
		r.close()
	}
	s.t.Logf("%s: %d sessions in %v, at most %d MiB; %s", what, s.ledger.count(), d, peak>>20, s.tally)
}

// actor performs random actions, one after the other.
type actor struct {
	*soak
	principal
	random *rand.Rand
}

// recorder returns the recorder of the actor's principal.
func (a *actor) recorder() *recorder { return a.recorders[a.name] }

func (a *actor) run(ctx context.Context) {
	for ctx.Err() == nil && !a.t.Failed() {
		action := soakActions[a.random.IntN(len(soakActions))]
		actionCtx, cancel := context.WithTimeout(context.Background(), soakActionTimeout)
		err := action.do(a, actionCtx)
		cancel()
		a.tally.add(action.name, err)
		if err != nil && !refused(err) {
			a.t.Errorf("%s: %v", action.name, err)
		}
		if err != nil {
			a.pause(20)
		}
	}
}

// pause sleeps for up to so many milliseconds, so that clients meet in different orders.
func (a *actor) pause(ms int) { time.Sleep(time.Duration(a.random.IntN(ms*1000)) * time.Microsecond) }

// chance returns true once in n times.
func (a *actor) chance(n int) bool { return a.random.IntN(n) == 0 }

// oneOf returns one of the values.
func oneOf[T any](a *actor, values ...T) T { return values[a.random.IntN(len(values))] }
