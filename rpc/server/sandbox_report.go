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
		UnixSockets: rpc.SandboxPart{Mode: string(c.UnixSockets)},
		Metadata:    rpc.SandboxPart{By: string(r.Metadata), Mode: string(c.Metadata)},
	}
	if c.UnixSockets == sandbox.NoUnixSockets {
		report.UnixSockets.By = string(sandbox.Seccomp)
	}
	if r.Metadata != sandbox.NotEnforced {
		report.Metadata.Mode = string(sandbox.WritableMetadata)
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
