//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/runnel-rpc/runnel/rpc"
)

// auditFile is the name of the audit log in the directory of the test; rotated ones have a suffix.
const auditFile = "audit"

// auditLine is a line of the audit log (docs/audit.md).
type auditLine struct {
	Seq       int64
	Event     string
	Action    string
	Owner     string
	SessionID string `json:"session_id"`
	Error     *rpc.Error
	Count     int64
	auditedRecord
}

// auditedRecord is what a line has of a completion record.
type auditedRecord struct {
	Status   any // a number in other lines
	Reason   string
	ExitCode *int `json:"exit_code"`
	Signal   any
	PID      int
	Output   rpc.OutputCounts
}

// recordOf returns the same of a completion record as JSON.
func recordOf(record string) string {
	var r auditedRecord
	_ = json.Unmarshal([]byte(record), &r)
	return r.String()
}

func (r auditedRecord) String() string {
	text, _ := json.Marshal(r)
	return string(text)
}

// rotates renames the audit log while it is written, and lets the server open a new one.
func (a *actor) rotates(context.Context) error {
	a.audit.Lock()
	defer a.audit.Unlock()
	err := os.Rename(a.dir.path(auditFile), a.dir.path(auditFile+"."+a.newID()))
	if os.IsNotExist(err) { // the server has not yet opened the new one
		return nil
	}
	_ = a.server.Process.Signal(syscall.SIGHUP)
	return err
}

// readAudit returns the lines of all files of the audit log, in their order, that were not checked
// yet.
func (s *soak) readAudit() (lines []auditLine, err error) {
	files, _ := filepath.Glob(s.dir.path(auditFile + "*"))
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		scanner := bufio.NewScanner(f)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			var l auditLine
			if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
				return nil, fmt.Errorf("%s: %w: %s", name, err, scanner.Bytes())
			}
			if l.Seq > s.audited {
				lines = append(lines, l)
			}
		}
		_ = f.Close()
		if err := scanner.Err(); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(lines, func(x, y auditLine) int { return cmp.Compare(x.Seq, y.Seq) })
	return lines, nil
}

// audited is what the audit log has of one session.
type audited struct {
	executes, ends int
	failed         bool // the command did not run
	record         string
}

// checkAudit checks that no line of the audit log is missing, and that it agrees with the ledger. It
// removes the files that the server does not write any more.
func (s *soak) checkAudit() {
	s.t.Helper()
	var faults []string
	var lines []auditLine
	if !poll(func() bool { // the newest lines may be written a moment later
		var err error
		lines, err = s.readAudit()
		if faults = s.ledger.compareAudit(lines, s.audited, s.uses.Load()); err != nil {
			faults = append(faults, err.Error())
		}
		return len(faults) == 0
	}) {
		for _, f := range faults[:min(len(faults), maxFaults)] {
			s.t.Error(f)
		}
	}
	s.audited += int64(len(lines))
	s.uses.Store(0)
	if _, err := os.Stat(s.dir.path(auditFile)); err != nil { // the server has not yet opened a new file
		return
	}
	rotated, _ := filepath.Glob(s.dir.path(auditFile + ".*"))
	for _, name := range rotated {
		_ = os.Remove(name)
	}
}

// compareAudit returns how the lines, which follow the one with the sequence number after, differ from
// the ledger, and from the number of uses of the right of an administrator.
func (l *ledger) compareAudit(lines []auditLine, after, uses int64) (faults []string) {
	sessions := make(map[sessionKey]*audited)
	for i, line := range lines {
		if want := after + int64(i) + 1; line.Seq != want {
			return []string{fmt.Sprintf("audit log: after line %d comes %d", want-1, line.Seq)}
		}
		key := sessionKey{line.Owner, line.SessionID}
		if sessions[key] == nil {
			sessions[key] = &audited{}
		}
		switch x := sessions[key]; {
		case line.Event == "lost":
			faults = append(faults, "audit log: lines were lost")
		case line.Event == "execute" && line.Error == nil:
			x.executes++
		case line.Event == "end":
			x.ends++
			x.failed, x.record = line.Error != nil, line.auditedRecord.String()
		case (line.Action == rpc.MethodStatus || line.Action == rpc.MethodForget) && line.Error == nil:
			uses -= max(line.Count, 1)
		}
	}
	if uses != 0 {
		faults = append(faults, fmt.Sprintf("audit log: %d uses of the right of an administrator are not in it", uses))
	}
	for key, x := range sessions {
		if x.executes > 1 || x.executes != x.ends {
			faults = append(faults, fmt.Sprintf("audit log: session %v has %d execute and %d end", key, x.executes, x.ends))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, e := range l.sessions {
		x := sessions[key]
		if x == nil {
			x = &audited{}
		}
		if ran := x.ends == 1 && !x.failed; e.record != "" && (!ran || x.record != recordOf(e.record)) || e.refused && ran {
			faults = append(faults, fmt.Sprintf("audit log: session %v (%s): %+v, but the record is %q, refused: %v", key, e.what, *x, e.record, e.refused))
		}
	}
	return faults
}
