package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/auth"
)

// tokenCmd are the verbs that manage a tokens file.
type tokenCmd struct {
	New    tokenNewCmd    `cmd:"" help:"Generate a token, print it, and add its hash to the file."`
	Revoke tokenRevokeCmd `cmd:"" help:"Remove the tokens of a name from the file."`
	List   tokenListCmd   `cmd:"" help:"List the tokens of the file: name, role, expiry and the beginning of the hash."`
}

type tokensFlags struct {
	Tokens string `help:"Tokens file of the server." required:"" placeholder:"FILE" env:"RUNNEL_TOKENS"`
}

type tokenNewCmd struct {
	Name        string `arg:"" help:"Principal that the token authenticates."`
	tokensFlags `embed:""`
	Role        string `help:"run, observe or admin." enum:"run,observe,admin" default:"run"`
	Expires     string `help:"When the token expires: a duration (12h, 30d), a date or a time (RFC 3339). Default: never." placeholder:"DURATION|DATE"`
}

type tokenRevokeCmd struct {
	Name        string `arg:"" help:"Principal whose tokens are removed."`
	tokensFlags `embed:""`
	Hash        string `help:"Remove only the token whose hash begins with these hexadecimal digits." placeholder:"PREFIX"`
}

type tokenListCmd struct {
	tokensFlags `embed:""`
}

// newToken returns a token with 256 random bits, in characters that a subprotocol may have (RFC 6455
// §4.1).
func newToken() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
	return "runnel_" + base64.RawURLEncoding.EncodeToString(secret[:])
}

// Run prints the token after its hash is in the file.
func (c *tokenNewCmd) Run(inv *invocation) error {
	if err := access.ValidPrincipal(c.Name); err != nil {
		return &statusError{exitUsage, err}
	}
	expires, err := parseExpiry(c.Expires, time.Now())
	if err != nil {
		return &statusError{exitUsage, fmt.Errorf("--expires: %w", err)}
	}
	token := newToken()
	sum := sha256.Sum256([]byte(token))
	entry := fmt.Sprintf("[[token]]\nname = %q\nsha256 = %q\nrole = %q\n", c.Name, hex.EncodeToString(sum[:]), c.Role)
	if !expires.IsZero() {
		entry += "expires = " + expires.UTC().Format(time.RFC3339) + "\n"
	}
	err = editTokens(inv.ctx, c.Tokens, func(text string) (string, error) {
		if text != "" {
			text = strings.TrimRight(text, "\n") + "\n\n"
		}
		return text + entry, nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(inv.stdout, token)
	return err
}

// Run removes the tokens.
func (c *tokenRevokeCmd) Run(inv *invocation) error {
	removed := 0
	err := editTokens(inv.ctx, c.Tokens, func(text string) (string, error) {
		all, err := auth.ParseTokens(c.Tokens, []byte(text))
		if err != nil {
			return "", err
		}
		revoked := func(t auth.Token) bool {
			return t.Name == c.Name && strings.HasPrefix(hex.EncodeToString(t.SHA256[:]), strings.ToLower(c.Hash))
		}
		for _, t := range all {
			if revoked(t) {
				removed++
			}
		}
		switch {
		case removed == 0:
			return "", fmt.Errorf("%s has no such token of %q", c.Tokens, c.Name)
		case removed > 1 && c.Hash != "":
			return "", fmt.Errorf("%d tokens of %q begin with %s", removed, c.Name, c.Hash)
		}
		return auth.RemoveTokens(c.Tokens, text, revoked)
	})
	if err == nil {
		_, err = fmt.Fprintf(inv.stdout, "%d revoked\n", removed)
	}
	return err
}

// Run lists the tokens.
func (c *tokenListCmd) Run(inv *invocation) error {
	text, _, err := readOperatorFile("--tokens", c.Tokens, auth.MaxTokenFileBytes)
	if err != nil {
		return err
	}
	all, err := auth.ParseTokens(c.Tokens, text)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(inv.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tROLE\tEXPIRES\tSHA256")
	for _, t := range all {
		expires := "never"
		if !t.Expires.IsZero() {
			expires = t.Expires.UTC().Format(time.RFC3339)
			if !time.Now().Before(t.Expires) {
				expires += " (expired)"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s…\n", t.Name, t.Role, expires, hex.EncodeToString(t.SHA256[:8]))
	}
	return w.Flush()
}

// parseExpiry returns when a token expires: after a duration, which may be in days, at a date in UTC,
// or at a time. "" is never.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	var at time.Time
	var days int
	if _, err := fmt.Sscanf(text, "%dd", &days); err == nil && text == fmt.Sprintf("%dd", days) {
		at = now.AddDate(0, 0, days)
	} else if span, err := time.ParseDuration(text); err == nil {
		at = now.Add(span)
	} else if date, err := time.Parse(time.DateOnly, text); err == nil {
		at = date
	} else if at, err = time.Parse(time.RFC3339, text); err != nil {
		return at, fmt.Errorf("%q is not a duration such as 12h or 30d, a date such as 2030-12-31, or a time of RFC 3339", text)
	}
	if !at.After(now) {
		return at, fmt.Errorf("%s is in the past", at.UTC().Format(time.RFC3339))
	}
	return at, nil
}

// editTokens replaces a tokens file by what edit makes of it, or creates it with mode 0600. Mode and
// owner stay. Other calls wait, and a server never reads half of a file.
func editTokens(ctx context.Context, path string, edit func(string) (string, error)) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // the file is replaced, not the link
	}
	unlock, err := lockDir(ctx, filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("--tokens: %w", err)
	}
	defer unlock()
	old, info, err := readOperatorFile("--tokens", path, auth.MaxTokenFileBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := edit(string(old))
	if err != nil {
		return err
	}
	if _, err := auth.ParseTokens(path, []byte(text)); err != nil {
		return err
	}
	if err := replaceFile(path, []byte(text), info); err != nil {
		return fmt.Errorf("--tokens: %w", err)
	}
	return nil
}

// replaceFile replaces a file by a rename. The new one is on the disk then, with the mode and the
// owner of old, or with mode 0600 if old is nil.
func replaceFile(path string, text []byte, old os.FileInfo) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if old != nil {
		if st, ok := old.Sys().(*syscall.Stat_t); ok && err == nil {
			err = f.Chown(int(st.Uid), int(st.Gid))
		}
		err = cmp.Or(err, f.Chmod(old.Mode().Perm()))
	}
	err = cmp.Or(err, f.Sync())
	err = cmp.Or(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
