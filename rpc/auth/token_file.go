package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runnel-rpc/runnel/rpc/access"
	"github.com/runnel-rpc/runnel/rpc/tomlfile"
)

// The bounds of a tokens file.
const (
	MaxTokenFileBytes = 1 << 20
	// MaxTokens bounds the time in which a wrong token is refused: it is compared with all of them.
	MaxTokens = 4096
)

// tokenFile is the content of a tokens file.
type tokenFile struct {
	Token []struct {
		Name    string      `toml:"name"`
		SHA256  string      `toml:"sha256"`
		Role    access.Role `toml:"role"`
		Expires time.Time   `toml:"expires"`
	} `toml:"token"`
}

// ParseTokens returns the tokens of a tokens file; file is its name in errors, which are
// *tomlfile.Error.
func ParseTokens(file string, text []byte) ([]Token, error) {
	if len(text) > MaxTokenFileBytes {
		return nil, &tomlfile.Error{File: file, Err: fmt.Errorf("is larger than %d bytes", MaxTokenFileBytes)}
	}
	var f tokenFile
	if _, err := tomlfile.Decode(file, text, &f, nil); err != nil {
		return nil, err
	}
	if len(f.Token) > MaxTokens {
		return nil, &tomlfile.Error{File: file, Err: fmt.Errorf("has more than %d tokens", MaxTokens)}
	}
	all := make([]Token, 0, len(f.Token))
	known := make(map[[sha256.Size]byte]bool, len(f.Token))
	for i, t := range f.Token {
		bad := func(field string, err error) error {
			return &tomlfile.Error{File: file, Line: lineOf(text, "token", i), Key: "token." + field, Err: err}
		}
		token := Token{Name: t.Name, Role: t.Role, Expires: t.Expires}
		if err := access.ValidPrincipal(t.Name); err != nil {
			return nil, bad("name", err)
		}
		sum, err := hex.DecodeString(t.SHA256)
		if err != nil || len(sum) != sha256.Size {
			return nil, bad("sha256", errors.New("must be the SHA-256 of a token, 64 hexadecimal digits"))
		}
		token.SHA256 = [sha256.Size]byte(sum)
		if known[token.SHA256] {
			return nil, bad("sha256", errors.New("occurs twice"))
		}
		known[token.SHA256] = true
		all = append(all, token)
	}
	return all, nil
}

// RemoveTokens returns the text of a tokens file without the tokens that remove selects. Everything
// else, comments too, stays as it is. It fails if the file is not written as [[token]] tables.
func RemoveTokens(file, text string, remove func(Token) bool) (string, error) {
	all, err := ParseTokens(file, []byte(text))
	if err != nil {
		return "", err
	}
	var tables []table
	for _, t := range tablesOf([]byte(text)) {
		if t.name == "token" {
			tables = append(tables, t)
		}
	}
	var kept strings.Builder
	var want []Token
	at := 0
	for i, t := range all {
		if !remove(t) {
			want = append(want, t)
		} else if i < len(tables) {
			kept.WriteString(text[at:tables[i].start])
			at = tables[i].end
		}
	}
	kept.WriteString(text[at:])
	left, err := ParseTokens(file, []byte(kept.String()))
	if err != nil || !slices.EqualFunc(left, want, func(a, b Token) bool { return a.SHA256 == b.SHA256 }) {
		return "", &tomlfile.Error{File: file, Err: errors.New("its tokens are not written as [[token]] tables: remove them by hand")}
	}
	return kept.String(), nil
}
