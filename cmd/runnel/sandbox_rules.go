package main

import (
	"errors"
	"io/fs"
	"sync"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/process"
)

// maxLoggedRules bounds the paths of profiles that are logged. Relative ones are other paths for each
// working directory, which clients choose.
const maxLoggedRules = 256

// ruleLog logs the paths of profiles that starts could not use, each once.
type ruleLog struct {
	log zerolog.Logger
	mu  sync.Mutex
	all map[loggedRule]bool
}

type loggedRule struct {
	path, why string
	refused   bool
}

// report is for process.Options.SandboxRuleUnused. That a path does not exist is usual in profiles.
func (l *ruleLog) report(u process.UnusedRule) {
	level := zerolog.WarnLevel
	if !u.Refused && errors.Is(u.Err, fs.ErrNotExist) {
		level = zerolog.DebugLevel
	}
	if level < l.log.GetLevel() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = make(map[loggedRule]bool)
	}
	rule := loggedRule{u.Path, u.Err.Error(), u.Refused}
	switch {
	case l.all[rule] || len(l.all) > maxLoggedRules:
		return
	case len(l.all) == maxLoggedRules:
		l.log.Warn().Int("logged", maxLoggedRules).Msg("further paths of sandbox profiles that are not used are not logged")
	default:
		l.log.WithLevel(level).Str("path", u.Path).Err(u.Err).Bool("refused", u.Refused).Msg("path of a sandbox profile not used")
	}
	l.all[rule] = true
}
