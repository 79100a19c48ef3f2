package session

import (
	"encoding/json"
	"syscall"
	"time"

	"github.com/runnel-rpc/runnel/process"
	"github.com/runnel-rpc/runnel/process/egress"
	"github.com/runnel-rpc/runnel/process/sandbox"
	"github.com/runnel-rpc/runnel/stream"
)

// This file is the form in which sessions are kept on disk: JSON in the journal of the spool. A field
// that a version does not know is ignored; the meaning of a field never changes.

// storedStart is what is kept of a session that begins, besides its owner, id and name.
type storedStart struct {
	Command     json.RawMessage   `json:"command"` // made by Options.Commands
	Encoding    string            `json:"encoding,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	TraceID     string            `json:"trace_id,omitempty"`
	Containment string            `json:"containment"`
	Begun       int64             `json:"begun"` // in nanoseconds since 1970
	Terminal    bool              `json:"terminal,omitempty"`
	MergeStderr bool              `json:"merge_stderr,omitempty"`
	Raw         bool              `json:"raw,omitempty"`
	CaptureHead int64             `json:"capture_head,omitempty"`
	Queued      bool              `json:"queued,omitempty"` // it has waited for a slot
	NoOutput    bool              `json:"no_output,omitempty"`
	Term        string            `json:"term,omitempty"` // of the terminal
	RecordInput bool              `json:"record_input,omitempty"`
}

// storedRecord is what is kept of a session that has ended.
type storedRecord struct {
	Seq         int64            `json:"seq,omitempty"`
	Cause       string           `json:"cause,omitempty"` // of causeNames
	PID         int              `json:"pid,omitempty"`
	PGID        int              `json:"pgid,omitempty"`
	Exit        *storedExit      `json:"exit,omitempty"` // nil if it is not known
	Escalated   bool             `json:"escalated,omitempty"`
	Survivors   []int            `json:"survivors,omitempty"`
	Unverified  bool             `json:"unverified,omitempty"`
	Execution   int64            `json:"execution,omitempty"` // in nanoseconds
	Counts      *storedCounts    `json:"counts,omitempty"`
	StdinBytes  int64            `json:"stdin_bytes,omitempty"`
	LeaderExit  *storedExit      `json:"leader_exit,omitempty"`
	LeaderSeq   int64            `json:"leader_seq,omitempty"` // its position in the log
	Containment string           `json:"containment,omitempty"`
	Limits      []storedLimit    `json:"limits,omitempty"`
	Sandbox     *storedSandbox   `json:"sandbox,omitempty"`
	Denied      *storedDenied    `json:"denied,omitempty"`
	Stopped     bool             `json:"stopped,omitempty"` // the saving of output ended before the session
	Sizes       []storedSize     `json:"sizes,omitempty"`
	Recording   *storedRecording `json:"recording,omitempty"`
	Log         storedLog        `json:"log"`
}

// storedLog is a stream.State, besides its end, which the spool knows, and its notes.
type storedLog struct {
	Stdout     int64        `json:"stdout,omitempty"` // bytes, with the markers of truncated lines
	Stderr     int64        `json:"stderr,omitempty"`
	PTY        int64        `json:"pty,omitempty"`
	Events     []storedMark `json:"events,omitempty"`
	EventCount int64        `json:"event_count,omitempty"`
	Times      []storedTime `json:"times,omitempty"`
}

type storedMark struct {
	Seq    int64 `json:"seq"`
	Events int64 `json:"events"`
}

type storedTime struct {
	Time int64 `json:"time"` // in nanoseconds since 1970
	Seq  int64 `json:"seq"`
}

// storedSize is a Size.
type storedSize struct {
	Time int64 `json:"time"` // in nanoseconds since 1970
	Seq  int64 `json:"seq"`
	Rows int   `json:"rows"`
	Cols int   `json:"cols"`
}

func storeSizes(all []Size) (list []storedSize) {
	for _, z := range all {
		list = append(list, storedSize{z.Time.UnixNano(), z.Seq, z.Rows, z.Cols})
	}
	return list
}

func sizes(list []storedSize) (all []Size) {
	for _, z := range list {
		all = append(all, Size{time.Unix(0, z.Time), z.Seq, z.Rows, z.Cols})
	}
	return all
}

func storeLog(s stream.State) (x storedLog) {
	x.Stdout, x.Stderr, x.PTY = s.Appended[stream.Stdout], s.Appended[stream.Stderr], s.Appended[stream.PTY]
	x.EventCount = s.End.Events
	for _, m := range s.Events {
		x.Events = append(x.Events, storedMark(m))
	}
	for _, m := range s.Timeline {
		x.Times = append(x.Times, storedTime{m.Time.UnixNano(), m.Seq})
	}
	return x
}

func (x *storedLog) state(end stream.Mark) (s stream.State) {
	s.End = end
	s.Appended[stream.Stdout], s.Appended[stream.Stderr], s.Appended[stream.PTY] = x.Stdout, x.Stderr, x.PTY
	for _, m := range x.Events {
		s.Events = append(s.Events, stream.Mark(m))
	}
	for _, m := range x.Times {
		s.Timeline = append(s.Timeline, stream.TimeMark{Time: time.Unix(0, m.Time), Seq: m.Seq})
	}
	return s
}

// storedExit is how a command ended.
type storedExit struct {
	Code    int    `json:"code"`
	Signal  int    `json:"signal,omitempty"`
	User    int64  `json:"user,omitempty"`   // in nanoseconds
	System  int64  `json:"system,omitempty"` // in nanoseconds
	MaxRSS  int64  `json:"max_rss,omitempty"`
	Limit   string `json:"limit,omitempty"`
	Unknown bool   `json:"unknown,omitempty"`
}

// storedCounts are stream.Counts.
type storedCounts struct {
	Stdout    int64 `json:"stdout,omitempty"`
	Stderr    int64 `json:"stderr,omitempty"`
	PTY       int64 `json:"pty,omitempty"`
	Truncated int64 `json:"truncated_lines,omitempty"`
	Dropped   int64 `json:"dropped,omitempty"`
	Lost      int64 `json:"lost,omitempty"`
}

// storedLimit is a process.EnforcedLimit.
type storedLimit struct {
	Limit string `json:"limit"`
	Value int64  `json:"value"`
	By    string `json:"by"`
}

// storedSandbox is what reports say of a sandbox.
type storedSandbox struct {
	Profile      string   `json:"profile,omitempty"`
	Floor        []string `json:"floor,omitempty"`
	FilesBy      string   `json:"files_by,omitempty"`
	FilesDefault string   `json:"files_default,omitempty"`
	NetworkBy    string   `json:"network_by,omitempty"`
	Network      string   `json:"network,omitempty"`
	ProcessesBy  string   `json:"processes_by,omitempty"`
	Processes    string   `json:"processes,omitempty"`
	TmpBy        string   `json:"tmp_by,omitempty"`
	Tmp          string   `json:"tmp,omitempty"`
	UnixSockets  string   `json:"unix_sockets,omitempty"`
	MetadataBy   string   `json:"metadata_by,omitempty"`
	Metadata     string   `json:"metadata,omitempty"`
}

// storedDenied is a Denied.
type storedDenied struct {
	Destinations []storedDestination `json:"destinations,omitempty"`
	More         int64               `json:"more,omitempty"`
}

type storedDestination struct {
	Host   string `json:"host"`
	Port   uint16 `json:"port"`
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// causeNames are the causes on disk.
var causeNames = [...]string{
	Exited:         "exited",
	Canceled:       "canceled",
	TimedOut:       "timeout",
	StreamTimedOut: "stream_timeout",
	Disconnected:   "disconnected",
	Shutdown:       "shutdown",
	Lost:           "lost",
}

func causeOf(name string) Cause {
	for c, n := range causeNames {
		if n == name {
			return Cause(c)
		}
	}
	return Lost
}

func storeExit(x process.Exit) *storedExit {
	return &storedExit{
		Code: x.Code, Signal: int(x.Signal), User: int64(x.UserTime), System: int64(x.SystemTime),
		MaxRSS: x.MaxRSS, Limit: string(x.Limit), Unknown: !x.Known,
	}
}

func (x *storedExit) exit() process.Exit {
	if x == nil {
		return process.Exit{Code: -1}
	}
	return process.Exit{
		Code: x.Code, Signal: syscall.Signal(x.Signal), Known: !x.Unknown, UserTime: time.Duration(x.User),
		SystemTime: time.Duration(x.System), MaxRSS: x.MaxRSS, Limit: process.Limit(x.Limit),
	}
}

func storeCounts(c stream.Counts) *storedCounts {
	return &storedCounts{
		Stdout: c.Written[stream.Stdout], Stderr: c.Written[stream.Stderr], PTY: c.Written[stream.PTY],
		Truncated: c.TruncatedLines, Dropped: c.Dropped, Lost: c.Lost,
	}
}

func (x *storedCounts) counts() (c stream.Counts) {
	if x != nil {
		c.Written[stream.Stdout], c.Written[stream.Stderr], c.Written[stream.PTY] = x.Stdout, x.Stderr, x.PTY
		c.TruncatedLines, c.Dropped, c.Lost = x.Truncated, x.Dropped, x.Lost
	}
	return c
}

func storeLimits(all []process.EnforcedLimit) (list []storedLimit) {
	for _, l := range all {
		list = append(list, storedLimit{string(l.Limit), l.Value, string(l.By)})
	}
	return list
}

func enforcedLimits(list []storedLimit) (all []process.EnforcedLimit) {
	for _, l := range list {
		all = append(all, process.EnforcedLimit{Limit: process.Limit(l.Limit), Value: l.Value, By: process.Mechanism(l.By)})
	}
	return all
}

func storeSandbox(r *sandbox.Report) *storedSandbox {
	if r == nil {
		return nil
	}
	c := &r.Config
	return &storedSandbox{
		Profile: c.Profile, Floor: c.Required,
		FilesBy: string(r.Files), FilesDefault: string(c.FilesDefault),
		NetworkBy: string(r.Network), Network: string(c.Network.Mode),
		ProcessesBy: string(r.Processes), Processes: string(c.Processes),
		TmpBy: string(r.Tmp), Tmp: string(c.Tmp),
		UnixSockets: string(c.UnixSockets),
		MetadataBy:  string(r.Metadata), Metadata: string(c.Metadata),
	}
}

func (x *storedSandbox) report() *sandbox.Report {
	if x == nil {
		return nil
	}
	return &sandbox.Report{
		Config: sandbox.Config{
			Profile: x.Profile, Required: x.Floor, FilesDefault: sandbox.Access(x.FilesDefault),
			Network: sandbox.Network{Mode: sandbox.Mode(x.Network)}, Processes: sandbox.Scope(x.Processes),
			Tmp: sandbox.Scope(x.Tmp), UnixSockets: sandbox.UnixSockets(x.UnixSockets), Metadata: sandbox.Metadata(x.Metadata),
		},
		Files: sandbox.Mechanism(x.FilesBy), Network: sandbox.Mechanism(x.NetworkBy),
		Processes: sandbox.Mechanism(x.ProcessesBy), Tmp: sandbox.Mechanism(x.TmpBy), Metadata: sandbox.Mechanism(x.MetadataBy),
	}
}

func storeDenied(d *Denied) *storedDenied {
	if d == nil {
		return nil
	}
	x := &storedDenied{More: d.More}
	for _, e := range d.Destinations {
		x.Destinations = append(x.Destinations, storedDestination{e.Host, e.Port, string(e.Reason), e.Count})
	}
	return x
}

func (x *storedDenied) denied() *Denied {
	if x == nil {
		return nil
	}
	d := &Denied{More: x.More}
	for _, e := range x.Destinations {
		d.Destinations = append(d.Destinations, egress.Event{Host: e.Host, Port: e.Port, Reason: egress.Reason(e.Reason), Count: e.Count})
	}
	return d
}

// storedChange is a Change in the output on disk.
type storedChange struct {
	Status string `json:"status"`
	PID    int    `json:"pid"`
	PGID   int    `json:"pgid"`
}

// encodeEvent encodes an event of the log other than a record, which is in the journal.
func encodeEvent(event any) ([]byte, error) {
	c := event.(Change)
	return json.Marshal(storedChange(c))
}

func decodeEvent(b []byte) (any, error) {
	var c storedChange
	err := json.Unmarshal(b, &c)
	return Change(c), err
}
