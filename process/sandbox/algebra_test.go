package sandbox

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
)

const rounds = 20000

// allPaths are all that randomPath returns, and paths in them.
func allPaths() []string {
	all := []string{"/"}
	level := []string{""}
	for range 4 {
		var next []string
		for _, dir := range level {
			for _, name := range names {
				next = append(next, dir+"/"+name)
			}
		}
		all, level = append(all, next...), next
	}
	return all
}

// TestAt: the rule with the longest path applies, to its path and to what is below it.
func TestAt(t *testing.T) {
	c := &Config{
		Files:        []Rule{{"/a", Write, Skip}, {"/a/b", Read, Skip}, {"/a/b/c", Write, Skip}, {"/x", None, Skip}},
		FilesDefault: Read,
		Hidden:       []string{"/a/h", "/x/y"},
	}
	for file, want := range map[string]Access{
		"/": Read, "/a": Write, "/a/x": Write, "/ab": Read, "/a/b": Read, "/a/b/x": Read, "/a/bc": Write, "/a/b/c/d": Write,
		"/x": None, "/x/z": None, "/xy": Read, "/a/h": None, "/a/h/x": None, "/a/hx": Write,
	} {
		if got := c.At(file); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
	c.Files = append(c.Files, Rule{"/", Write, Skip})
	if c.At("/") != Write || c.At("/z/z") != Write || c.At("/x") != None {
		t.Errorf("%+v", c)
	}
}

// TestTightenMissing: a start that one of the two refuses is refused, and a directory is made only
// if both make it.
func TestTightenMissing(t *testing.T) {
	rule := func(m Missing) *Config {
		c := readOnly
		c.Files = []Rule{{"/a", Read, m}}
		return &c
	}
	without := readOnly
	writable := readOnly
	writable.Files = []Rule{{"/", Write, Skip}}
	for _, c := range []struct {
		a, b *Config
		want Missing
	}{
		{rule(Refuse), &without, Refuse},
		{rule(Refuse), rule(Create), Refuse},
		{rule(Create), rule(Create), Create},
		{rule(Create), &writable, Create},
		{rule(Create), rule(Skip), ""}, // Skip, and without an effect
		{rule(Create), &without, ""},
		{rule(Skip), &without, ""},
	} {
		both := c.a.Tighten(c.b)
		var got Missing
		for _, r := range both.Files {
			if r.Path == "/a" {
				got = r.Missing
			}
		}
		if got != c.want {
			t.Errorf("%+v and %+v: %q, want %q", c.a.Files, c.b.Files, got, c.want)
		}
	}
}

// TestTighten: the result permits at every path, and for every destination, what both do.
func TestTighten(t *testing.T) {
	every := allPaths()
	r := rand.New(rand.NewPCG(1, 2))
	for range rounds / 10 {
		a, b := randomConfig(r), randomConfig(r)
		c := a.Tighten(b)
		if err := c.Check(); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		for _, file := range every {
			if got, want := c.At(file), least(accesses, a.At(file), b.At(file)); got != want {
				t.Fatalf("%s is %s, want %s\na %+v\nb %+v\nc %+v", file, got, want, a, b, c)
			}
		}
		for range 50 {
			host, port := pick(r, "a.org", "b.a.org", "c.b.a.org", "d.org", "192.0.2.1", "2001:db8::1"), pick(r, uint16(80), 443, 1)
			if got, want := c.permits(host, port), a.permits(host, port) && b.permits(host, port); got != want {
				t.Fatalf("%s %d is %v, want %v\na %+v\nb %+v\nc %+v", host, port, got, want, a, b, c)
			}
		}
	}
}

// TestTightenLaws: Tighten is commutative and idempotent, and its result is within both.
func TestTightenLaws(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range rounds {
		a, b := randomConfig(r), randomConfig(r)
		c := a.Tighten(b)
		if d := b.Tighten(a); !reflect.DeepEqual(c, d) {
			t.Fatalf("not commutative\na %+v\nb %+v\n%+v\n%+v", a, b, c, d)
		}
		if d := c.Tighten(b); !reflect.DeepEqual(c, d) {
			t.Fatalf("not idempotent\na %+v\nb %+v\n%+v\n%+v", a, b, c, d)
		}
		if err := errors.Join(c.Within(a), c.Within(b), a.Within(a)); err != nil {
			t.Fatalf("%v\na %+v\nb %+v\nc %+v", err, a, b, c)
		}
	}
}

// TestWithin: a Config is within a floor if and only if it permits no more at any path and for any
// destination, and makes no directory where the floor does not.
func TestWithin(t *testing.T) {
	every := allPaths()
	r := rand.New(rand.NewPCG(5, 6))
	var yes, no int
	for range rounds {
		a, b := randomConfig(r), randomConfig(r)
		if r.IntN(2) == 0 {
			a = b.Tighten(a) // else nearly none is
			if len(a.Files) > 0 && r.IntN(2) == 0 {
				a.Files[r.IntN(len(a.Files))].Access = pick(r, accesses...)
			}
		}
		want := reflect.DeepEqual(a.Tighten(b).Network, (&Config{Network: a.Network}).Tighten(&Config{Network: a.Network}).Network) &&
			!exceeds(processScope, a.Processes, b.Processes) && !exceeds(tmpScope, a.Tmp, b.Tmp) &&
			!exceeds(unixSockets, a.UnixSockets, b.UnixSockets) && !exceeds(metadata, a.Metadata, b.Metadata)
		for _, file := range every {
			want = want && !exceeds(accesses, a.At(file), b.At(file))
		}
		for _, rule := range a.Files {
			want = want && (rule.Missing != Create || b.mayCreate(rule.Path))
		}
		err := a.Within(b)
		if (err == nil) != want {
			t.Fatalf("%v, want %v\na %+v\nb %+v", err, want, a, b)
		}
		if want {
			yes++
		} else {
			no++
		}
	}
	if yes < rounds/20 || no < rounds/20 {
		t.Errorf("%d within, %d not: the generator is of no use", yes, no)
	}
}

// TestWithinNamesTheField: the error names the field of the Config, not of the floor.
func TestWithinNamesTheField(t *testing.T) {
	floor := readOnly
	floor.Files = []Rule{{"/w", Write, Skip}, {"/w/none", None, Skip}}
	floor.Network = Network{AllowList, []Destination{{"*.a.org", 443}}}
	for want, change := range map[string]func(c *Config){
		"":                 func(*Config) {},
		"files[1]":         func(c *Config) { c.Files = []Rule{{"/w", Write, Skip}, {"/x", Write, Skip}, {"/w/none", None, Skip}} },
		"files[0]":         func(c *Config) { c.Files = []Rule{{"/w", Read, Skip}} }, // it permits /w/none
		"files[2]":         func(c *Config) { c.Files = append(c.Files, Rule{"/y", Read, Create}) },
		"files_default":    func(c *Config) { c.Files = nil },
		"network":          func(c *Config) { c.Network = Network{Mode: FullNetwork} },
		"network.allow[1]": func(c *Config) { c.Network.Allow = []Destination{{"x.a.org", 443}, {"a.org", 443}} },
		"network.allow[0]": func(c *Config) { c.Network.Allow = []Destination{{"x.a.org", 0}} },
		"processes":        func(c *Config) { c.Processes = Shared },
		"tmp":              func(c *Config) { c.Tmp = Shared },
		"unix_sockets":     func(c *Config) { c.UnixSockets = FullUnixSockets },
		"metadata":         func(c *Config) { c.Metadata = FullMetadata },
	} {
		c := floor
		change(&c)
		err := c.Within(&floor)
		if e, _ := errors.AsType[*ExceedsError](err); (e == nil) != (want == "") || e != nil && e.Field != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
