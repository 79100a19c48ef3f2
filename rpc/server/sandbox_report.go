package server

import (
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// sandboxReport returns what a sandbox enforces and what its proxy has refused, or nil without a
// sandbox.
func sandboxReport(r *sandbox.Report, denied *session.Denied) *rpc.SandboxReport {
	if r == nil {
		return nil
	}
	c := &r.Config
	report := &rpc.SandboxReport{
		Profile:     c.Profile,
		Floor:       c.Required,
		Files:       rpc.SandboxFiles{By: string(r.Files), Default: string(c.FilesDefault)},
		Network:     rpc.SandboxPart{By: string(r.Network), Mode: string(c.Network.Mode)},
		Processes:   rpc.SandboxPart{By: string(r.Processes), Mode: string(c.Processes)},
		Tmp:         rpc.SandboxPart{By: string(r.Tmp), Mode: string(c.Tmp)},
		UnixSockets: sandboxPart(r.EnforcedUnixSockets()),
		Metadata:    sandboxPart(r.EnforcedMetadata()),
	}
	if denied != nil {
		report.DeniedMore = denied.More
		for _, e := range denied.Destinations {
			report.Denied = append(report.Denied, rpc.SandboxDenial{
				Host: e.Host, Port: int(e.Port), Reason: string(e.Reason), Count: e.Count,
			})
		}
	}
	return report
}

func sandboxPart(e sandbox.Enforced) rpc.SandboxPart {
	return rpc.SandboxPart{By: string(e.By), Mode: e.Mode}
}
