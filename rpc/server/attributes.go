package server

import (
	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
)

// attributes returns the process attributes of an execute.
func attributes(p *rpc.ExecuteParams) process.Attributes {
	return process.Attributes{Umask: integer(p.Umask), Nice: integer(p.Nice), Soft: softLimits(p.SoftLimits)}
}

func integer(p *int64) *int {
	if p == nil {
		return nil
	}
	n := int(*p)
	return &n
}

func softLimits(p *rpc.SoftLimits) process.SoftLimits {
	if p == nil {
		return nil
	}
	all := make(process.SoftLimits)
	for name, limit := range map[process.Resource]rpc.SoftLimit{
		process.AddressSpaceBytes: p.AddressSpaceBytes,
		process.CoreBytes:         p.CoreBytes,
		process.SoftCPUSeconds:    p.CPUSeconds,
		process.DataBytes:         p.DataBytes,
		process.SoftFileBytes:     p.FileBytes,
		process.LockedBytes:       p.LockedBytes,
		process.MessageQueueBytes: p.MessageQueueBytes,
		process.NiceCeiling:       p.NiceCeiling,
		process.SoftOpenFiles:     p.OpenFiles,
		process.PendingSignals:    p.PendingSignals,
		process.RealtimePriority:  p.RealtimePriority,
		process.ResidentBytes:     p.ResidentBytes,
		process.StackBytes:        p.StackBytes,
		process.UserProcesses:     p.UserProcesses,
	} {
		switch {
		case limit.None:
			all[name] = process.Unlimited
		case limit.Set:
			all[name] = uint64(limit.Value)
		}
	}
	return all
}
