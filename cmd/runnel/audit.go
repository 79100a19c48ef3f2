package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/rs/zerolog"

	"github.com/runnel-rpc/runnel/rpc/audit"
)

// auditFlags choose the audit log of a server.
type auditFlags struct {
	Audit         string `help:"Audit log, a line of JSON for each event: a file, - for stdout, or syslog." placeholder:"FILE|-|syslog" env:"RUNNEL_AUDIT"`
	AuditCommands string `help:"What the audit log has of a command: program, or full, which includes its arguments." enum:"program,full" default:"program" env:"RUNNEL_AUDIT_COMMANDS"`
	AuditRequired bool   `help:"Run no command whose line cannot be written to the audit log." env:"RUNNEL_AUDIT_REQUIRED"`
}

// openAudit opens the audit log, and has it opened again, and reloads written to it, by the reloader.
// It is nil without --audit.
func (f *auditFlags) openAudit(r *reloader, log zerolog.Logger) (*audit.Log, error) {
	if f.Audit == "" {
		if f.AuditRequired {
			return nil, &statusError{exitUsage, errors.New("--audit-required needs --audit")}
		}
		return nil, nil
	}
	l, err := audit.Open(audit.Options{
		Target:       f.Audit,
		Required:     f.AuditRequired,
		FullCommands: f.AuditCommands == "full",
		Log:          log,
	})
	if err != nil {
		return nil, fmt.Errorf("--audit: %w", err)
	}
	r.add(auditPart, l.Reopen) // on SIGHUP only: its file changes all the time
	r.report = func(what, file string, err error) {
		e := &audit.Reload{What: what, File: file}
		if what == auditPart {
			e.File = f.auditFile()
		}
		if err != nil {
			e.Error = err.Error()
		}
		l.Write(e)
	}
	return l, nil
}

// auditPart is the part of the configuration that opens the audit log again.
const auditPart = "audit"

// auditFile returns the path of the audit log, or "" if it is not a file.
func (f *auditFlags) auditFile() string {
	if f.Audit == "-" || f.Audit == "syslog" {
		return ""
	}
	return f.Audit
}

// auditStart writes that the server has started.
func auditStart(l *audit.Log, listeners []net.Listener) {
	e := &audit.Start{Version: version(), PID: os.Getpid(), UID: os.Geteuid()}
	for _, x := range listeners {
		e.Listen = append(e.Listen, x.Addr().String())
	}
	l.Write(e)
}
