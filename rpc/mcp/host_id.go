package mcp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// hostHeader is the header with the id of a host (Mcp-Session-Id of MCP), which revisions of MCP until
// 2025-11-25 have.
const hostHeader = "Mcp-Session-Id"

// hostOf returns the id that a host has sent, or "". It is ignored in requests of revisions that do not have it.
func hostOf(r *http.Request) string {
	if r.Header.Get("MCP-Protocol-Version") > "2025-11-25" {
		return ""
	}
	return r.Header.Get(hostHeader)
}

// hostIDs are the ids of hosts. A host gets one when it initializes, and sends it with each request after
// that. It tells the calls of two hosts with one credential apart, which may have equal ids. Nothing is
// kept of it: an id contains a message authentication code (RFC 2104) for its principal, so those of others,
// and those of an earlier process, are not valid.
type hostIDs struct{ key []byte }

func newHostIDs() *hostIDs {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return &hostIDs{key}
}

// add returns a new id for a host of a principal.
func (h *hostIDs) add(principal string) string {
	name := rand.Text()
	return name + "." + h.code(name, principal)
}

// valid reports whether add has returned the id for the principal.
func (h *hostIDs) valid(id, principal string) bool {
	name, code, _ := strings.Cut(id, ".")
	return hmac.Equal([]byte(code), []byte(h.code(name, principal)))
}

func (h *hostIDs) code(name, principal string) string {
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(name + "." + principal)) // a name has no point
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
