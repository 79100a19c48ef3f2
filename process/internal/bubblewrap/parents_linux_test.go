package bubblewrap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/runnel-rpc/runnel/process/sandbox"
)

// nested returns rules for directories that are that deep below a writable one, and below one that is
// not accessible.
func nested(branches, depth int) *Config {
	c := &Config{Sandbox: &sandbox.Config{}, Binds: []Bind{{Path: "/w", FD: 8, Access: sandbox.Write, Dir: true}}}
	for i := range branches {
		c.Binds = append(c.Binds, Bind{Path: fmt.Sprintf("/w/%d%s", i, strings.Repeat("/d", depth-1)), FD: 7, Access: sandbox.Read, Dir: true})
	}
	return c
}

// TestBounds checks that too many mounts are refused before anything is opened.
func TestBounds(t *testing.T) {
	writable := func(c *Config) *Config {
		for i := range c.Binds {
			c.Binds[i].Access = sandbox.Write
		}
		return c
	}
	only := func(c *Config) *Config {
		c.Sandbox.FilesDefault, c.Binds = sandbox.None, c.Binds[1:]
		return c
	}
	hiding := func(n int) *Config {
		c := &Config{Sandbox: &sandbox.Config{}}
		for i := range n {
			c.Binds = append(c.Binds, Bind{Path: fmt.Sprintf("/h/%d", i), FD: -1, Access: sandbox.None})
		}
		return c
	}
	for name, test := range map[string]struct {
		c  *Config
		ok bool
	}{
		"some anchors":         {nested(16, 1+maxAnchors/16), true},
		"one anchor more":      {nested(1, 2+maxAnchors), false},
		"very many anchors":    {nested(250, 400), false},
		"deepest anchors":      {nested(250, 2000), false},
		"writable needs none":  {writable(nested(250, 2000)), true},
		"directories":          {only(nested(8, 100)), true},
		"too many directories": {only(nested(8, 150)), false},
		"mounts":               {hiding(900), true},
		"too many mounts":      {hiding(maxMounts), false},
		"mounts and anchors":   {&Config{Sandbox: &sandbox.Config{}, Binds: append(hiding(maxMounts-maxAnchors).Binds, nested(1, maxAnchors).Binds...)}, false},
	} {
		mounts, err := test.c.layout(t.Context(), nil, func(int, error) (int, error) {
			t.Errorf("%s: something is opened", name)
			return -1, unix.EMFILE
		})
		e, refused := errors.AsType[*sandbox.NotEnforceableError](err)
		if refused == test.ok || err != nil && !refused || refused && e.Field != "files" || len(mounts) > maxMounts {
			t.Errorf("%s: %d mounts, %v", name, len(mounts), err)
		}
	}
}

// TestLayoutEnds checks that the end of a context ends the work on mounts.
func TestLayoutEnds(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	c := &Config{Sandbox: &sandbox.Config{}, Hidden: []string{"/nonexistent"}}
	if _, err := c.layout(ended, nil, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := root(-1).verify(ended, []mount{{path: "/", kind: bindRead, fd: -1}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s := &starter{config: c, mounts: []mount{{path: "/", kind: anchor, fd: -1}}}
	if err := s.openAnchors(ended); !errors.Is(err, context.Canceled) || s.mounts[0].fd >= 0 {
		t.Error(err)
	}
}

// BenchmarkLayoutOfMany has as many mounts as there may be.
func BenchmarkLayoutOfMany(b *testing.B) {
	for name, c := range map[string]*Config{
		"anchors": nested(250, 3), "refused": nested(250, 2000), "deep": nested(250, 2000),
	} {
		if name == "deep" { // without anchors
			c.Binds = c.Binds[1:]
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = c.layout(b.Context(), nil, nil)
			}
		})
	}
}
