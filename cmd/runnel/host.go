package main

import (
	"fmt"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
)

// closeHost closes the host, and logs an error if processes or files are left; the next server
// removes them.
func closeHost(h *process.Host, log zerolog.Logger) error {
	err := h.Close()
	if err != nil {
		log.Error().Err(err).Msg("cleanup is incomplete")
	}
	return err
}

// sandboxOptions are what a host has to know about sandboxes.
type sandboxOptions struct {
	bubblewrap string   // the path of bwrap; "" is the one in PATH
	hidden     []string // what no command in a sandbox may reach
	readOnly   []string // what none can change
}

// openHost opens the host that runs process trees, which first ends the leftover processes of
// crashed servers. It fails if the machine cannot enforce --limit or --max-limit.
func (b *bounds) openHost(s sandboxOptions, log zerolog.Logger) (*process.Host, error) {
	h, err := process.Open(process.Options{
		Containment:         process.Containment(b.Containment),
		StateDir:            b.StateDir,
		OnlyParent:          true,
		Keeper:              true,
		KeeperEnded:         func(err error) { log.Warn().Err(err).Msg("starting the keeper again") },
		ReserveProcesses:    b.ReserveProcesses,
		OOMScoreAdj:         b.OOMScoreAdj,
		Bubblewrap:          s.bubblewrap,
		HideFromSandboxes:   s.hidden,
		ReadOnlyInSandboxes: s.readOnly,
		SandboxTmpBytes:     b.SandboxTmp,
		SandboxRuleUnused:   (&ruleLog{log: log}).report,
	})
	if err != nil {
		return nil, err
	}
	for flag, l := range map[string]limits{"limit": b.Limit, "max-limit": b.MaxLimit} {
		if _, err := h.Enforce(process.Limits(l)); err != nil {
			_ = h.Close()
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
	}
	if r := h.Recovered(); r.Servers > 0 {
		log.Warn().Int("servers", r.Servers).Int("processes", r.Processes).Int("left", r.Left).Msg("ended what crashed servers left")
	}
	return h, nil
}
