package mcp

import (
	"context"
	"maps"

	"github.com/runnel-rpc/runnel/rpc"
)

// sandboxLabel is the label of sessions that were started with a sandbox. Its value is the profile.
const sandboxLabel = "mcp.sandbox"

// confined reports whether the tools reach only sessions with the sandbox of their own commands. Without
// this a command could leave its sandbox, by a model that it persuades to write to another session.
func (s *Server) confined() bool { return s.options.Execute.Sandbox != nil }

// labels returns the labels of the sessions that the tools reach; nil if they reach all.
func (s *Server) labels() map[string]string {
	if !s.confined() {
		return nil
	}
	return map[string]string{sandboxLabel: s.options.Execute.Sandbox.Profile}
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
	if st.Labels[sandboxLabel] != s.options.Execute.Sandbox.Profile {
		return "", rpc.SessionNotFound(ref)
	}
	return st.SessionID, nil
}
