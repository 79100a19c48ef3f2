package server

import (
	"github.com/runnel-rpc/runnel/process/egress"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/audit"
	"github.com/runnel-rpc/runnel/session"
)

// auditedAsk returns what the audit log has of the sandbox of a request.
func auditedAsk(p *rpc.Sandbox) *audit.AskedSandbox {
	if p == nil {
		return nil
	}
	a := &audit.AskedSandbox{
		Profile: p.Profile, FilesDefault: p.FilesDefault, Network: p.Network.Mode, Allow: p.Network.Allow,
		Processes: p.Processes, Tmp: p.Tmp, UnixSockets: p.UnixSockets, Metadata: p.Metadata,
	}
	for _, rule := range p.Files[:min(len(p.Files), sandbox.MaxRules)] {
		a.Files = append(a.Files, rule.Access+" "+string(rule.Path))
	}
	return a
}

// auditedSandbox returns what the audit log has of what is enforced.
func auditedSandbox(r *sandbox.Report) *audit.Sandbox {
	s := sandboxReport(r, nil)
	if s == nil {
		return nil
	}
	return &audit.Sandbox{
		Profile: s.Profile, Floor: s.Floor,
		FilesBy: s.Files.By, FilesDefault: s.Files.Default,
		NetworkBy: s.Network.By, NetworkMode: s.Network.Mode,
		ProcessesBy: s.Processes.By, ProcessesMode: s.Processes.Mode,
		TmpBy: s.Tmp.By, TmpMode: s.Tmp.Mode,
		UnixSocketsBy: s.UnixSockets.By, UnixSocketsMode: s.UnixSockets.Mode,
		MetadataBy: s.Metadata.By, MetadataMode: s.Metadata.Mode,
	}
}

func auditedDestination(s *session.Session, e *egress.Event) *audit.Destination {
	d := &audit.Destination{
		Session: auditedSession(s), Host: e.Host, Port: int(e.Port), Reason: string(e.Reason), Final: e.Final,
		Count: e.Count, Failed: e.Failed, Up: e.Up, Down: e.Down,
	}
	if e.Address.IsValid() {
		d.Address = e.Address.String()
	}
	return d
}
