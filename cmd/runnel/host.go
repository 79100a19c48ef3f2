package main

import (
	"fmt"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
)

// closeHost closes it; what it could not end or remove is logged, and left for the next one.
func closeHost(h *process.Host, log zerolog.Logger) error {
	err := h.Close()
	if err != nil {
		log.Error().Err(err).Msg("leaving something behind")
	}
	return err
}

// openHost probes the machine for what holds process trees, after it has ended what crashed servers left.
func (b *bounds) openHost(log zerolog.Logger) (*process.Host, error) {
	h, err := process.Open(process.Options{
		Containment:      process.Containment(b.Containment),
		StateDir:         b.StateDir,
		OnlyParent:       true,
		Keeper:           true,
		KeeperEnded:      func(err error) { log.Warn().Err(err).Msg("starting the keeper again") },
		ReserveProcesses: b.ReserveProcesses,
		OOMScoreAdj:      b.OOMScoreAdj,
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
