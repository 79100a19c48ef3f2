package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// contextCmd is the verb context, and its sub-verbs.
type contextCmd struct {
	Add    contextAddCmd    `cmd:"" help:"Name a server, or replace it."`
	Use    contextUseCmd    `cmd:"" help:"Use a server by default; without a name, none."`
	List   contextListCmd   `cmd:"" help:"List the servers."`
	Remove contextRemoveCmd `cmd:"" help:"Forget a server."`
}

type contextAddCmd struct {
	Name      string `arg:"" help:"Name of the server."`
	URL       string `required:"" help:"URL of the server, ws://host:port, wss://host:port or unix:PATH."`
	TokenFile string `help:"File with the token." placeholder:"FILE"`
	TLSCA     string `name:"tls-ca" help:"File with the authorities that may sign the server's certificate (PEM). Default: those of the system." placeholder:"FILE"`
	TLSCert   string `name:"tls-cert" help:"File with the certificate to present to the server (PEM)." placeholder:"FILE"`
	TLSKey    string `name:"tls-key" help:"File with the key of --tls-cert (PEM)." placeholder:"FILE"`
}

// The characters of the name of a context, and of its first character. A regular expression for it
// would be compiled at the start of each verb.
const (
	alphanumeric     = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	contextNameChars = alphanumeric + "._@-"
	maxContextName   = 128
)

func isContextName(s string) bool {
	return s != "" && len(s) <= maxContextName &&
		strings.IndexByte(alphanumeric, s[0]) >= 0 && strings.Trim(s, contextNameChars) == ""
}

// Validate implements kong's check of values.
func (c *contextAddCmd) Validate() error {
	if !isContextName(c.Name) {
		return errors.New("NAME must have at most 128 letters, digits and . _ @ -, and begin with a letter or a digit")
	}
	return (&target{URL: c.URL, TLSCert: c.TLSCert, TLSKey: c.TLSKey}).Validate()
}

// Run adds the server, with absolute paths.
func (c *contextAddCmd) Run(inv *invocation) error {
	added := namedContext{Name: c.Name, URL: c.URL, TokenFile: c.TokenFile, TLSCA: c.TLSCA, TLSCert: c.TLSCert, TLSKey: c.TLSKey}
	for _, path := range []*string{&added.TokenFile, &added.TLSCA, &added.TLSCert, &added.TLSKey} {
		if *path == "" {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if _, socket, err := parseURL(c.URL); err != nil {
		return err
	} else if socket != "" {
		if socket, err = filepath.Abs(socket); err != nil {
			return err
		}
		added.URL = "unix:" + socket
	}
	return changeContexts(inv.ctx, func(all *contexts) error {
		if old, err := all.find(c.Name); err == nil {
			*old = added
			return nil
		}
		if len(all.Context) >= maxContexts {
			return fmt.Errorf("there are %d contexts already", maxContexts)
		}
		all.Context = append(all.Context, added)
		return nil
	})
}

type contextUseCmd struct {
	Name string `arg:"" optional:"" help:"Name of the server."`
}

// Run makes the server the default.
func (c *contextUseCmd) Run(inv *invocation) error {
	return changeContexts(inv.ctx, func(all *contexts) error {
		if c.Name != "" {
			if _, err := all.find(c.Name); err != nil {
				return err
			}
		}
		all.Current = c.Name
		return nil
	})
}

type contextListCmd struct{}

// Run prints the servers by name. The default one has an asterisk.
func (c *contextListCmd) Run(inv *invocation) error {
	all, err := readContexts()
	if err != nil {
		return err
	}
	slices.SortFunc(all.Context, func(a, b namedContext) int { return strings.Compare(a.Name, b.Name) })
	t := tabwriter.NewWriter(inv.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CURRENT\tNAME\tURL\tTOKEN FILE\tCERTIFICATE")
	for _, s := range all.Context {
		mark := ""
		if s.Name == all.Current {
			mark = "*"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", mark, s.Name, s.URL, cmp.Or(s.TokenFile, "-"), cmp.Or(s.TLSCert, "-"))
	}
	return t.Flush()
}

type contextRemoveCmd struct {
	Name string `arg:"" help:"Name of the server."`
}

// Run removes the server.
func (c *contextRemoveCmd) Run(inv *invocation) error {
	return changeContexts(inv.ctx, func(all *contexts) error {
		if _, err := all.find(c.Name); err != nil {
			return err
		}
		all.Context = slices.DeleteFunc(all.Context, func(s namedContext) bool { return s.Name == c.Name })
		if all.Current == c.Name {
			all.Current = ""
		}
		return nil
	})
}
