package session

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runnel-rpc/runnel/process/egress"
	"github.com/runnel-rpc/runnel/process/sandbox"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// ask asks a proxy for a tunnel, and returns the first line of its answer, "" if it does not answer.
func ask(t *testing.T, l net.Listener, destination string) string {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return ""
	}
	defer conn.Close()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", destination, destination)
	line, _ := bufio.NewReader(conn).ReadString('\n')
	return line
}

// TestConnections: the proxy of a session lives until the session ends, also if the start was tried
// twice, and what it refused is kept.
func TestConnections(t *testing.T) {
	var mu sync.Mutex
	var final []string
	allow := []sandbox.Destination{{Host: "a.example", Port: 1}}
	c := &connections{
		event: func(e egress.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Final {
				final = append(final, e.Host)
			}
		},
	}
	if c.denied() != nil {
		t.Error("denied before there is a proxy")
	}
	first, second := listen(t), listen(t)
	c.serve(first, allow)
	env := c.serve(second, allow)
	if !slices.Contains(env, "HTTP_PROXY=http://"+second.Addr().String()) {
		t.Error(env)
	}
	if got := ask(t, first, "b.example:2"); got != "" {
		t.Errorf("the proxy of the first start answers %q", got)
	}
	for range 2 {
		if got := ask(t, second, "b.example:2"); !strings.Contains(got, " 403 ") {
			t.Errorf("%q", got)
		}
	}
	check := func() {
		t.Helper()
		d := c.denied()
		if d == nil || len(d.Destinations) != 1 || d.Destinations[0].Host != "b.example" || d.Destinations[0].Count != 2 || d.More != 0 {
			t.Errorf("%+v", d)
		}
	}
	check()
	c.close()
	check()
	if !slices.Equal(final, []string{"b.example"}) {
		t.Error(final)
	}
	if got := ask(t, second, "b.example:2"); got != "" {
		t.Errorf("after the end the proxy answers %q", got)
	}
	third := listen(t)
	c.serve(third, allow) // of a start that returns after the session has failed
	if got := ask(t, third, "b.example:2"); got != "" {
		t.Errorf("after the end a new proxy answers %q", got)
	}
	var none *connections
	none.close()
	if none.denied() != nil {
		t.Error("denied without a proxy")
	}
}

// TestDeniedIsBounded: further destinations are counted.
func TestDeniedIsBounded(t *testing.T) {
	var r egress.Report
	for range maxDenied + 3 {
		r.Refused = append(r.Refused, egress.Event{Count: 2})
	}
	r.MoreRefused = 5
	if d := deniedIn(r); len(d.Destinations) != maxDenied || d.More != 11 {
		t.Errorf("%d, %d", len(d.Destinations), d.More)
	}
	if deniedIn(egress.Report{}) != nil {
		t.Error("denied although nothing was")
	}
}
