package mcp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"

	"github.com/runnel-rpc/runnel/rpc"
)

// sandboxLabel is the label of sessions that were started with a sandbox. Its value is a confinement.
const sandboxLabel = "mcp.sandbox"

// confinement returns a digest of a sandbox and of the working directory that it is made for: the
// SHA-256 of both in hexadecimal. Two profiles of one name that are made for two directories permit
// different things, so the directory is a part of it.
func confinement(sandbox *rpc.Sandbox, dir rpc.Bytes) (string, error) {
	text, err := json.Marshal([]any{sandbox, []byte(dir)})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// confined reports whether the tools reach only sessions with the sandbox of their own commands. Without
// this a command could leave its sandbox, by a model that it persuades to write to another session.
func (s *Server) confined() bool { return s.confinement != "" }

// labels returns the labels of the sessions that the tools reach; nil if they reach all.
func (s *Server) labels() map[string]string {
	if !s.confined() {
		return nil
	}
	return map[string]string{sandboxLabel: s.confinement}
}

// confine labels a session.
func (s *Server) confine(p *rpc.ExecuteParams) {
	if !s.confined() {
		return
	}
	if p.Labels = maps.Clone(p.Labels); p.Labels == nil {
		p.Labels = map[string]string{}
	}
	maps.Copy(p.Labels, s.labels())
}

// reach returns the id of a session that the tools reach, by its id or name. Others do not exist.
func (s *Server) reach(ctx context.Context, ref string) (string, error) {
	if !s.confined() {
		return ref, nil
	}
	st, err := s.status(ctx, ref)
	if err != nil {
		return "", err
	}
	if st.Labels[sandboxLabel] != s.confinement {
		return "", rpc.SessionNotFound(ref)
	}
	return st.SessionID, nil
}
