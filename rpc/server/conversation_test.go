//go:build linux

package server_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/policy"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/spool"
)

// A conversation is a txtar file: a comment, and sections that are processed in order. The name of
// a section is a word and the number of a connection, if that is not 1. The connection is opened
// for its first section. Text after a colon in the name is a comment.
//
//	config       settings of the server, name=value; see configure
//	policy       the policy file of the server
//	client [N]   the text messages that the client sends, one per line
//	server [N]   the messages of the server after that, all and no others
//	drop [N]     the client resets the connection
//	closed [N]   the server closes the connection, with this code
//	shutdown     the server begins to shut down
//	restart      the same, and it will be started again
//	idle         wait until no session runs
//
// The connected notification is skipped unless the first section of a connection is a server
// section. Values that differ between runs are written as placeholders. At the end the server is
// shut down, and must not have sent further messages.
//
// With -update the server sections are rewritten: a section gets all messages until the server
// is quiet. For as many messages as the section has lines it waits longer, whatever the lines
// contain.
var update = flag.Bool("update", false, "rewrite the server sections of the conversations")

// How long the server is quiet before -update continues, and how long an expected message may take.
const (
	quiet  = 500 * time.Millisecond
	slowly = 5 * time.Second
)

const conversationFiles = "testdata/conversations/*.txtar"

// TestConversations runs each conversation with a server of its own.
func TestConversations(t *testing.T) {
	if host != nil {
		t.Skip("runs under containment group only")
	}
	runParallel(t)
	files, err := filepath.Glob(conversationFiles)
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			converse(t, archive)
			if *update && !t.Failed() {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func converse(t *testing.T, archive *txtar.Archive) {
	c := &conversation{t: t, path: "/ws", places: newPlaceholders(archive), peers: map[int]*wsClient{}, callers: map[int]string{}}
	c.service = serve(t, func(set *settings) {
		set.Spool = nil                    // but for those that configure one
		set.StartInline = 10 * time.Second // else the order of replies would depend on the load
		for _, f := range archive.Files {
			switch f.Name {
			case "config":
				c.configure(set, lines(f.Data))
			case "policy":
				p, err := policy.Parse("policy", f.Data, policy.Options{})
				if err != nil {
					t.Fatal(err)
				}
				guard := policy.NewGuard(p, nil)
				set.Server.Authorize, set.Server.Restrict = guard.Authorize, guard.Restrict
			}
		}
	})
	for i := range archive.Files {
		c.section = &archive.Files[i]
		c.step(c.section)
	}
	c.end()
}

// lines returns the lines of a section without blank ones.
func lines(data []byte) (list []string) {
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			list = append(list, line)
		}
	}
	return list
}

type conversation struct {
	t       *testing.T
	service *service
	path    string
	places  *placeholders
	peers   map[int]*wsClient
	callers map[int]string // those of config
	section *txtar.File
}

// wsClient is a connection that is always read.
type wsClient struct {
	*peer
	received chan string
	err      error // why it ended, set before received is closed
	over     bool  // its end was reported
}

func (c *conversation) fatalf(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("section %q: %s", c.section.Name, fmt.Sprintf(format, args...))
}

// parts splits the name of a section.
func (c *conversation) parts(name string) (word string, number int) {
	name, _, _ = strings.Cut(name, ":")
	word, n, numbered := strings.Cut(strings.TrimSpace(name), " ")
	if number = 1; numbered {
		var err error
		if number, err = strconv.Atoi(n); err != nil {
			c.fatalf("%q is not the number of a connection", n)
		}
	}
	return word, number
}

func (c *conversation) step(section *txtar.File) {
	word, n := c.parts(section.Name)
	switch word {
	case "config", "policy":
	case "client":
		p := c.wsClient(n, true)
		c.awaitStarts()
		for _, line := range lines(section.Data) {
			p.send("%s", c.places.fill(c.t, line))
		}
	case "server":
		c.listen(c.wsClient(n, false), section)
	case "drop":
		p := c.wsClient(n, true)
		p.over = true
		p.reset()
	case "closed":
		c.closed(c.wsClient(n, true), section)
	case "shutdown", "restart":
		c.service.restart = word == "restart"
		go c.service.shutdown(c.service.drain)
	case "idle":
		c.service.idle()
	default:
		c.fatalf("no such section")
	}
}

// awaitStarts waits until what had to wait for the start of a session was done. A request that comes
// before may be answered after those that follow it.
func (c *conversation) awaitStarts() {
	all, err := c.service.registry.ListOwnersBefore(nil, 0, math.MaxInt, session.AllSessions)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, s := range all {
		eventually(c.t, "end of the start", func() bool {
			_, deferred := s.AfterStart(func() {})
			return s.View().State != session.Running || !deferred
		})
	}
}

// wsClient returns the connection with that number. For a new one it may skip the connected
// notification.
func (c *conversation) wsClient(n int, greeted bool) *wsClient {
	if p := c.peers[n]; p != nil {
		return p
	}
	p := &wsClient{received: make(chan string)}
	var err error
	d := dialing{path: c.path}
	if caller := c.callers[n]; caller != "" {
		d.header = http.Header{"X-Caller": {caller}}
	}
	if p.peer, err = c.service.tryDial(c.t, d); err != nil {
		c.fatalf("%v", err)
	}
	c.peers[n] = p
	go p.readAll(c.t.Context())
	if greeted {
		if _, err := p.next(testTimeout); err != nil {
			c.fatalf("no connected notification: %v", err)
		}
	}
	return p
}

// readAll reads until the connection or the test ends.
func (p *wsClient) readAll(ctx context.Context) {
	defer close(p.received)
	for {
		_, b, err := p.ws.Read(context.Background())
		if err != nil {
			p.err = err
			return
		}
		select {
		case p.received <- string(b):
		case <-ctx.Done():
			p.err = ctx.Err()
			return
		}
	}
}

var errQuiet = errors.New("no message from the server")

// next returns the next message if it arrives within d.
func (p *wsClient) next(d time.Duration) (string, error) {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case text, ok := <-p.received:
		if !ok {
			return "", p.err
		}
		return text, nil
	case <-late.C:
		return "", errQuiet
	}
}

// listen compares the messages of the server with a section.
func (c *conversation) listen(p *wsClient, section *txtar.File) {
	if *update {
		section.Data = c.record(p, len(lines(section.Data)))
		return
	}
	for i, want := range lines(section.Data) {
		text, err := p.next(testTimeout)
		if err != nil {
			c.fatalf("line %d: %v\nwant %s", i+1, err, want)
		}
		if got := c.places.hide(text); got != want {
			c.fatalf("line %d\n got %s\nwant %s", i+1, got, want)
		}
	}
}

// record returns the messages of the server: the expected number, and those that follow
// immediately.
func (c *conversation) record(p *wsClient, expected int) (data []byte) {
	for i := 0; ; i++ {
		d := quiet
		if i < expected {
			d = slowly
		}
		text, err := p.next(d)
		if err != nil {
			return data
		}
		data = append(append(data, c.places.hide(text)...), '\n')
	}
}

// closed checks that the server has closed the connection without further messages.
func (c *conversation) closed(p *wsClient, section *txtar.File) {
	p.over = true
	text, err := p.next(testTimeout)
	if err == nil {
		c.fatalf("the server also sent\n%s", c.places.hide(text))
	}
	got := fmt.Sprintf("%d\n", websocket.CloseStatus(err))
	if *update {
		section.Data = []byte(got)
	} else if want := string(section.Data); got != want {
		c.fatalf("got %swant %s%v", got, want, err)
	}
}

// end shuts the server down and checks that no message and no connection is left.
func (c *conversation) end() {
	go c.service.shutdown(0)
	for _, n := range slices.Sorted(maps.Keys(c.peers)) {
		p := c.peers[n]
		for !p.over {
			text, err := p.next(testTimeout)
			switch {
			case err == nil && !strings.Contains(text, strconv.Quote(rpc.NotifyShutdown)):
				c.t.Errorf("connection %d: the server also sent\n%s", n, c.places.hide(text))
			case err != nil:
				p.over = true
				if websocket.CloseStatus(err) != websocket.StatusGoingAway {
					c.t.Errorf("connection %d: %v", n, err)
				}
			}
		}
	}
}

// configure applies a config section. Durations are in seconds.
func (c *conversation) configure(set *settings, list []string) {
	for _, line := range list {
		name, value, _ := strings.Cut(line, "=")
		if name == "path" {
			c.path = value
			continue
		}
		if name == "needs" && value == string(sandbox.Landlock) {
			set.Session.Host = hostWithoutBubblewrap(c.t)
			continue
		}
		if name == "needs" {
			needsSandbox(c.t, value)
			continue
		}
		if name == "sandbox_default" {
			set.Server.Sandboxes.Default = value
			continue
		}
		if name == "caller" {
			set.Server.Auth, set.Server.SameGroup = &callers{}, sameTeam
			number, caller, _ := strings.Cut(value, ":")
			n, err := strconv.Atoi(number)
			if err != nil {
				c.t.Fatalf("config: %s", line)
			}
			c.callers[n] = caller
			continue
		}
		limit, value, ofLimit := strings.Cut(value, ":")
		if !ofLimit {
			value = limit
		}
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			c.t.Fatalf("config: %s", line)
		}
		n, d := int(f), time.Duration(f*float64(time.Second))
		switch name {
		case "max_sessions":
			set.Session.MaxSessions = n
		case "max_queued":
			set.Session.MaxQueued = n
		case "max_retained":
			set.Session.MaxRetained = n
		case "max_in_flight":
			set.Server.MaxInFlight = n
		case "spool":
			set.Spool = &spool.Options{SessionBytes: int64(n)}
		case "spool_full":
			set.SpoolFull = int64(n)
		case "replay_bytes":
			set.Session.ReplayBytes = int64(n)
		case "limit":
			set.Server.Defaults.Limits = process.Limits{process.Limit(limit): int64(n)}
		case "max_limit":
			set.Server.Defaults.MaxLimits = process.Limits{process.Limit(limit): int64(n)}
		case "linger":
			set.Server.Defaults.Linger = d
		case "drain":
			set.Server.Drain = d
		default:
			c.t.Fatalf("config: no setting %s", name)
		}
	}
}
