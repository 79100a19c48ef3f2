package policy

import (
	"maps"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
)

// limits applies the defaults and the ceilings of the section to the limits.
func (d *Decision) limits(params *rpc.ExecuteParams, spec *session.Spec) error {
	s := d.section
	limits := maps.Clone(spec.Program.Limits)
	if limits == nil {
		limits = process.Limits{}
	}
	for _, name := range process.AllLimits {
		value, ok := limits[name]
		most, bounded := s.max.limits[name]
		if requested(params.Limits, name) {
			if bounded && value > most {
				return s.refuse("max."+string(name), "limits."+string(name), "%d is more than %d", value, most)
			}
			continue
		}
		if n, has := s.defaults.limits[name]; has {
			if ceiling, limited := spec.Program.Limits[name]; limited { // the server's, which applies to all
				n = min(n, ceiling)
			}
			value, ok = n, true
		}
		if bounded && (!ok || value > most) {
			value, ok = most, true
		}
		if ok {
			limits[name] = value
		}
	}
	spec.Program.Limits = limits
	return nil
}

// requested reports whether an execute sets a limit itself.
func requested(l *rpc.Limits, name process.Limit) bool {
	if l == nil {
		return false
	}
	return name == process.CPUSeconds && l.CPUSeconds != nil ||
		name == process.MemoryBytes && l.MemoryBytes != nil ||
		name == process.Processes && l.Processes != nil ||
		name == process.OpenFiles && l.OpenFiles != nil ||
		name == process.FileBytes && l.FileBytes != nil
}

// times applies the defaults and the ceilings of the section to the times. A time of 0 is no limit,
// except for the grace.
func (d *Decision) times(params *rpc.ExecuteParams, spec *session.Spec) error {
	s, silent := d.section, params.PTY != nil || spec.Keep
	for _, t := range []struct {
		name      string
		requested bool
		value     *time.Duration
	}{
		{timeout, params.Timeout.Set, &spec.Timeout},
		{streamTimeout, params.StreamTimeout.Set, &spec.StreamTimeout},
		{grace, params.Grace.Set, &spec.Grace},
		{linger, params.Linger.Set, &spec.Linger},
	} {
		if n, ok := s.defaults.times[t.name]; ok && !t.requested && (t.name != streamTimeout || !silent) {
			*t.value = n
		}
		most, bounded := s.max.times[t.name]
		if !bounded || *t.value <= most && (*t.value > 0 || t.name == grace) {
			continue
		}
		if t.requested {
			return s.refuse("max."+t.name, t.name, "%v is more than %v, or no limit", *t.value, most)
		}
		*t.value = most
	}
	return nil
}

// nice applies the lowest nice value of the section.
func (d *Decision) nice(params *rpc.ExecuteParams, spec *session.Spec) error {
	least := d.section.minNice
	switch {
	case least == nil:
	case params.Nice != nil && *params.Nice < int64(*least):
		return d.section.refuse("min_nice", "nice", "%d is less than %d", *params.Nice, *least)
	case params.Nice == nil && ownNice() < *least:
		spec.Program.Attributes.Nice = least
	}
	return nil
}
