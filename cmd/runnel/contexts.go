package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"github.com/runnel-rpc/runnel/rpc/tomlfile"
)

const (
	// maxContexts is how many servers the file of contexts may name.
	maxContexts = 1000
	// maxContextsFile is how many bytes that file may have.
	maxContextsFile = 1 << 20
)

// contexts is the content of the file of contexts.
type contexts struct {
	Current string         `toml:"current,omitempty"` // the name of the one to use by default; "" for none
	Context []namedContext `toml:"context"`
}

// namedContext is a server with a name.
type namedContext struct {
	Name      string `toml:"name"`
	URL       string `toml:"url"`
	TokenFile string `toml:"token_file,omitempty"`
	TLSCA     string `toml:"tls_ca,omitempty"`
	TLSCert   string `toml:"tls_cert,omitempty"`
	TLSKey    string `toml:"tls_key,omitempty"`
}

// contextsPath returns $XDG_CONFIG_HOME/runnel/contexts.toml, or ~/.config/runnel/contexts.toml.
func contextsPath() (string, error) {
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "runnel", "contexts.toml"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no home directory for the contexts: XDG_CONFIG_HOME is required")
	}
	return filepath.Join(home, ".config", "runnel", "contexts.toml"), nil
}

// readContexts reads the file of contexts. It returns none if there is no file.
func readContexts() (*contexts, error) {
	path, err := contextsPath()
	if err != nil {
		return &contexts{}, nil // nowhere for a file
	}
	return readContextsFile(path)
}

func readContextsFile(path string) (*contexts, error) {
	text, _, err := readRegular(path, maxContextsFile, nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &contexts{}, nil
	case err != nil:
		return nil, withName(path, err)
	}
	all := &contexts{}
	if _, err := tomlfile.Decode(path, text, all, nil); err != nil {
		return nil, err
	}
	return all, nil
}

// changeContexts changes the file of contexts, which no other runnel changes meanwhile.
func changeContexts(ctx context.Context, change func(*contexts) error) error {
	path, err := contextsPath()
	if err != nil {
		return err
	}
	if err := makePrivateDir(filepath.Dir(path)); err != nil {
		return err
	}
	unlock, err := lockDir(ctx, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	all, err := readContextsFile(path)
	if err != nil {
		return err
	}
	if err := change(all); err != nil {
		return err
	}
	text, err := toml.Marshal(all)
	if err != nil {
		return err
	}
	return writeAtomically(path, text)
}

// find returns the context with that name.
func (all *contexts) find(name string) (*namedContext, error) {
	i := slices.IndexFunc(all.Context, func(c namedContext) bool { return c.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no context %q; \"runnel context list\" lists them", name)
	}
	return &all.Context[i], nil
}

// useContext sets what the context gives, unless a flag gives it. A flag for the URL names another
// server, for which the context says nothing. Environment variables that select a server have no
// effect with a context: a token is not sent to a server that it is not meant for.
func (t *target) useContext(given map[string]bool) error {
	if given["context"] && given["url"] {
		return errors.New("--context and --url name two servers")
	}
	name := t.Context
	if name == "" {
		if t.URL != "" && (given["url"] || os.Getenv("RUNNEL_CONTEXT") == "") {
			return nil
		}
		name = os.Getenv("RUNNEL_CONTEXT")
	}
	all, err := readContexts()
	if err != nil {
		return err
	}
	if name = cmp.Or(name, all.Current); name == "" {
		return nil
	}
	c, err := all.find(name)
	if err != nil {
		return err
	}
	t.fill(c, given)
	return t.Validate()
}

// fill sets what the context gives and no flag has given.
func (t *target) fill(c *namedContext, given map[string]bool) {
	t.Context, t.URL = c.Name, c.URL
	for flag, set := range map[string]struct {
		to   *string
		from string
	}{
		"token-file": {&t.TokenFile, c.TokenFile}, "tls-ca": {&t.TLSCA, c.TLSCA},
		"tls-cert": {&t.TLSCert, c.TLSCert}, "tls-key": {&t.TLSKey, c.TLSKey},
	} {
		if !given[flag] {
			*set.to = set.from
		}
	}
}
