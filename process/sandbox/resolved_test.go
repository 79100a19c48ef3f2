package sandbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// linked returns a find in which some paths are symbolic links.
func linked(links map[string]string) func(r *Rule, own bool) Found {
	return func(r *Rule, _ bool) Found {
		if to, ok := links[r.Path]; ok {
			return Found{Path: to, Links: []string{path.Dir(r.Path)}}
		}
		return Found{Path: r.Path}
	}
}

// TestResolvedLinks: a link that a command may have made does not move a rule to where it would permit
// more, unless a request has named it and the floor permits it.
func TestResolvedLinks(t *testing.T) {
	links := map[string]string{"/w/up": "/", "/w/in": "/w/b", "/w/d/x": "/v", "/bin": "/usr/bin", "/l": "/m", "/m/y": "/n", "/w/dev": "/dev/sda", "/home/etc": "/etc"}
	for name, c := range map[string]struct {
		own   int // rules that the request has named
		rules []Rule
		floor []Rule
		want  string
	}{
		"link of a command":         {0, []Rule{{"/w", Write, Skip}, {"/w/up", Write, Skip}}, nil, "/w:write"},
		"to read":                   {0, []Rule{{"/w", Write, Skip}, {"/w/up", Read, Refuse}}, nil, "/w:write"},
		"link of the system":        {0, []Rule{{"/w", Write, Skip}, {"/bin", Read, Skip}}, nil, "/w:write /usr/bin:read"},
		"restriction":               {0, []Rule{{"/w", Write, Skip}, {"/w/in", None, Skip}}, nil, "/w:write /w/b:none"},
		"to a device":               {0, []Rule{{"/", Write, Skip}, {"/w/dev", Read, Skip}}, nil, "/:write"},
		"in what was not there":     {0, []Rule{{"/w", Write, Skip}, {"/w/d", Read, Skip}, {"/w/d/x", Write, Skip}}, nil, "/w:write /w/d:read"},
		"in what a link leads to":   {0, []Rule{{"/l", Write, Skip}, {"/m/y", Write, Skip}}, nil, "/m:write"},
		"a link makes nothing firm": {0, []Rule{{"/w", Write, Skip}, {"/w/up", Write, Skip}, {"/bin", Read, Skip}}, nil, "/w:write /usr/bin:read"},
		"own":                       {2, []Rule{{"/w", Write, Skip}, {"/w/up", Write, Skip}}, nil, "sandbox: /w/up: " + ErrLink.Error()},
		"own inside":                {2, []Rule{{"/w", Write, Skip}, {"/w/in", Write, Skip}}, nil, "/w:write /w/b:write"},
		"own beyond the floor":      {1, []Rule{{"/w/up", Write, Skip}, {"/w", Write, Skip}}, []Rule{{"/w", Write, Skip}}, "sandbox.files[0] asks"},
		"own within the floor":      {1, []Rule{{"/w/d/x", Write, Skip}, {"/w", Write, Skip}}, []Rule{{"/w", Write, Skip}, {"/v", Write, Skip}}, "/v:write /w:write"},
		"of the floor":              {0, []Rule{{"/w/up", Write, Skip}, {"/w", Write, Skip}}, []Rule{{"/w/up", Write, Skip}, {"/w", Write, Skip}}, "/w:write"},
		"own of the floor":          {1, []Rule{{"/w/up", Write, Skip}, {"/w", Write, Skip}}, []Rule{{"/w/up", Write, Skip}, {"/w", Write, Skip}}, "sandbox.files[0] asks"},
		"into the system":           {1, []Rule{{"/home/etc", Write, Skip}}, nil, "sandbox: /home/etc: " + errIntoSystem.Error()},
		"system within the floor":   {0, []Rule{{"/home/etc", Write, Skip}}, []Rule{{"/home/etc", Write, Skip}}, "sandbox: /home/etc: " + errIntoSystem.Error()},
		"system by name":            {1, []Rule{{"/bin", Write, Skip}}, nil, "/usr/bin:write"},
		"read the system":           {1, []Rule{{"/home/etc", Read, Skip}}, nil, "/etc:read"},
		"writable by the floor":     {0, []Rule{{"/w/up", Read, Skip}}, []Rule{{"/w", Write, Skip}, {"/w/up", Read, Skip}}, ""},
	} {
		in := readOnly
		in.FilesDefault, in.Files, in.request = None, c.rules, &Request{Partial: Partial{Files: c.rules[:c.own]}}
		if c.floor != nil {
			floor := readOnly
			floor.FilesDefault, floor.Files, in.Floor = None, c.floor, &floor
		}
		r, err := in.Resolved(linked(links))
		if err != nil {
			if !strings.HasPrefix(err.Error(), c.want) || c.want == "" {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
			continue
		}
		var got []string
		for _, rule := range r.Files {
			got = append(got, rule.Path+":"+string(rule.Access))
		}
		if strings.Join(got, " ") != c.want || len(r.Names) != len(r.Files) {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// TestResolvedSpares: a link that a command may have made hides nothing that others need, and other
// files.
func TestResolvedSpares(t *testing.T) {
	for name, test := range map[string]struct {
		link, to string
		spared   bool
	}{
		"system": {"/w/a", "/usr", true}, "programs": {"/w/a", "/usr/bin", true}, "root": {"/w/a", "/", true}, "configuration": {"/w/a", "/etc", true},
		"proc": {"/w/a", "/proc", true}, "device": {"/w/a", "/dev/null", true}, "tmp": {"/w/a", "/tmp", true}, "above tmp": {"/w/a", "/var", true},
		"the directory of the link": {"/w/d/a", "/w/d", true}, "above it": {"/w/d/a", "/w", true}, "home": {"/w/a", "/users/u", true}, "above home": {"/w/a", "/users", true},
		"nowhere": {"/w/a", "", true}, "system from elsewhere": {"/x/a", "/usr", true}, "nowhere from elsewhere": {"/x/a", "", true}, "itself from elsewhere": {"/x/a", "/x", true},
		"beside": {"/w/a", "/w/d", false}, "in home": {"/w/a", "/users/u/dotfiles", false}, "elsewhere": {"/w/a", "/srv/a", false}, "below tmp": {"/w/a", "/tmp/a", false},
		"in the configuration": {"/w/a", "/etc/a", false}, "home from elsewhere": {"/x/a", "/users/u", false},
		"of the system": {"/lib/a", "/usr/lib/a", false}, "of the system to nowhere": {"/lib/a", "", false},
	} {
		find := linked(map[string]string{test.link: test.to, "/home/u": "/users/u"})
		want := test.to
		if want == "" {
			want = test.link
		}
		for _, floored := range []bool{false, true} {
			c := readOnly
			c.home, c.request, c.Files, c.Hidden = "/home/u", &Request{}, []Rule{{"/w", Write, Skip}}, []string{test.link}
			if floored {
				floor := c
				c.Floor, c.Files = &floor, []Rule{{"/w", Read, Skip}}
			}
			r, err := c.Resolved(find)
			if err != nil || slices.Contains(r.Hidden, want) == test.spared || slices.Contains(r.Dropped, test.link) != test.spared || floored && !slices.Equal(r.Hidden, r.Floor.Hidden) {
				t.Errorf("hidden, %s: %+v, %v", name, r, err)
			}
			c.Hidden, c.Files = nil, append(c.Files, Rule{test.link, None, Skip})
			r, err = c.Resolved(find)
			none := func(r Rule) bool { return r.Path == want && r.Access == None }
			if err != nil || slices.ContainsFunc(r.Files, none) == test.spared {
				t.Errorf("a rule, %s: %+v, %v", name, r, err)
			}
		}
		c := readOnly
		c.Files = []Rule{{test.link, None, Refuse}, {"/w", Write, Skip}}
		c.request = &Request{Partial: Partial{Files: c.Files[:1]}}
		if r, err := c.Resolved(find); err == nil && r.Files[0].Path != want || err != nil && !reserved(test.to) {
			t.Errorf("a rule of a request, %s: %+v, %v", name, r, err)
		}
	}
}

// TestResolvedWithin: whatever links there are, the result permits at no path more than the rules of
// the floor do that no command can move.
func TestResolvedWithin(t *testing.T) {
	every := allPaths()
	r := rand.New(rand.NewPCG(7, 8))
	var resolved, moved int
	for range rounds / 4 {
		floor := randomConfig(r)
		c := *floor
		c.Floor, c.request = floor, &Request{}
		if own := randomConfig(r).Files; r.IntN(2) == 0 {
			c.request.Files = own
			inherited := slices.DeleteFunc(slices.Clone(c.Files), func(rule Rule) bool { return slices.Contains(paths(own), rule.Path) })
			c.Files = append(slices.Clone(own), inherited...)
		}
		links := map[string]string{}
		for _, rule := range slices.Concat(c.Files, floor.Files) {
			if rule.Path != "/" && r.IntN(3) == 0 {
				links[rule.Path] = randomPath(r)
			}
		}
		firm := *floor
		firm.Files, firm.Hidden = nil, nil
		for _, file := range floor.Hidden {
			to, isLink := links[file]
			switch {
			case !isLink:
				firm.Hidden = append(firm.Hidden, file)
			case !Below(path.Dir(file), to): // else it may have no effect
				firm.Hidden = append(firm.Hidden, to)
			}
		}
		for _, rule := range floor.Files {
			to, isLink := links[rule.Path]
			made := isLink && slices.ContainsFunc(floor.Files, func(w Rule) bool {
				return w.Access == Write && links[w.Path] == "" && Below(path.Dir(rule.Path), w.Path)
			})
			if isLink && rule.Access == None && Below(path.Dir(rule.Path), to) {
				continue // it may have no effect
			}
			if isLink {
				rule.Path = to
			}
			if !made {
				firm.Files = append(firm.Files, rule)
			} else {
				moved++
			}
		}
		got, err := c.Resolved(linked(links))
		if err != nil {
			if _, ok := errors.AsType[*ExceedsError](err); !ok && !errors.Is(err, syscall.EACCES) { // to "/"
				t.Fatal(err)
			}
			continue
		}
		resolved++
		for _, file := range every {
			if exceeds(accesses, got.At(file), firm.most(file)) {
				t.Fatalf("%s is %s, and %s in the floor\nfloor %+v\nconfig %+v\nlinks %v\nresult %+v", file, got.At(file), firm.most(file), floor, c, links, got)
			}
		}
	}
	if resolved < rounds/20 || moved < rounds/40 {
		t.Errorf("%d resolved, %d moved: the generator is of no use", resolved, moved)
	}
}

// most is At; of rules with the same path the most counts.
func (c *Config) most(file string) Access {
	best := c.At(file)
	if i := c.ruleOf(file); i >= 0 && !c.hides(file) {
		for _, r := range c.Files {
			if r.Path == c.Files[i].Path && exceeds(accesses, r.Access, best) {
				best = r.Access
			}
		}
	}
	return best
}

// TestResolvedUnreachable checks that what cannot be reached hides the directory that it is in, or has no
// effect if it would permit to write there, and that a request is told.
func TestResolvedUnreachable(t *testing.T) {
	find := func(r *Rule, own bool) Found {
		if strings.HasPrefix(r.Path, "/w/shut/") {
			return Found{Above: "/w/shut"}
		}
		return Found{Path: r.Path}
	}
	for name, test := range map[string]struct {
		own    int
		rules  []Rule
		hidden string
		want   string
	}{
		"hidden":             {0, []Rule{{"/w", Write, Skip}}, "/w/shut/key", "hidden [/w/shut] dropped [] /w:write"},
		"hidden to write":    {0, []Rule{{"/w", Write, Skip}, {"/w/shut", Write, Skip}}, "/w/shut/a/key", "hidden [/w/shut] dropped [] /w:write /w/shut:none"},
		"none":               {0, []Rule{{"/w", Write, Skip}, {"/w/shut/a", None, Skip}}, "", "hidden [] dropped [] /w:write /w/shut:none"},
		"none of a request":  {2, []Rule{{"/w", Write, Skip}, {"/w/shut/a", None, Refuse}}, "", "hidden [] dropped [] /w:write /w/shut:none"},
		"read":               {0, []Rule{{"/w", Write, Skip}, {"/w/shut/a", Read, Skip}}, "", "hidden [] dropped [] /w:write /w/shut:none"},
		"read and write":     {0, []Rule{{"/w/shut", Write, Skip}, {"/w/shut/a", Read, Skip}}, "", "hidden [] dropped [] /w/shut:none /w/shut:none"},
		"write":              {0, []Rule{{"/w", Read, Skip}, {"/w/shut/a", Write, Create}}, "", "hidden [] dropped [/w/shut/a] /w:read"},
		"write of a request": {2, []Rule{{"/w", Read, Skip}, {"/w/shut/a", Write, Refuse}}, "", "hidden [] dropped [] /w:read /w/shut/a:write"}, // its open fails
	} {
		for _, floored := range []bool{false, true} {
			c := readOnly
			c.FilesDefault, c.Files, c.request = None, test.rules, &Request{Partial: Partial{Files: test.rules[:test.own]}}
			if test.hidden != "" {
				c.Hidden = []string{test.hidden}
			}
			if floored {
				floor := c
				c.Floor = &floor
			}
			r, err := c.Resolved(find)
			if err != nil {
				if !floored || test.own == 0 { // the rule of a request exceeds a floor that has no effect
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			got := fmt.Sprintf("hidden %v dropped %v", r.Hidden, r.Dropped)
			for _, rule := range r.Files {
				got += fmt.Sprintf(" %s:%s", rule.Path, rule.Access)
			}
			if got != test.want {
				t.Errorf("%s: %s, want %s", name, got, test.want)
			}
		}
	}
}
