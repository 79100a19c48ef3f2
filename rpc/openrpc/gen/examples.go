package main

import "github.com/runnel-rpc/runnel/rpc"

// example is a call of a method in JSON. Result is empty for a notification.
//
// The sessions of the examples are created by those of execute: these have to run before any other
// example of the same session.
type example struct {
	Name   string
	Params string
	Result string
}

// The sessions of the examples: one is running, one has ended, one runs on a terminal.
const (
	exampleRunning  = "00000000-0000-4000-8000-000000000001"
	exampleEnded    = "00000000-0000-4000-8000-000000000002"
	exampleTerminal = "00000000-0000-4000-8000-000000000004"
)

// exampleToken stands for a token of the caller.
const exampleToken = "Zm9yIHRoZSBkb2N1bWVudGF0aW9uIG9ubHkgIQ"

// The beginning of an object with the session.
const (
	ofRunning  = `{"session_id":"` + exampleRunning + `"`
	ofEnded    = `{"session_id":"` + exampleEnded + `"`
	ofTerminal = `{"session_id":"` + exampleTerminal + `"`
)

const (
	runningStatus = ofRunning + `,"principal":"user","state":"running","command":["cat"],"pid":4711,"pgid":4711,"containment":"cgroup",` +
		`"started_at":"2026-01-02T15:04:05.678Z","labels":{"job":"demo"},"stdin_bytes":0,` +
		`"output":{"stdout_bytes":0,"stderr_bytes":0,"pty_bytes":0,"truncated_lines":0,"dropped_bytes":0,"lost_bytes":0}}`

	ended = ofEnded + `,"principal":"user","seq":8,"status":"failed","exit_code":3,"signal":null,"reason":"exited","escalated":false,"survivors":[],"survivors_verified":true,` +
		`"pid":4712,"pgid":4712,"execution_time":0.002,"usage":{"user_time":0.001,"system_time":0.001,"max_rss_bytes":1703936},` +
		`"output":{"stdout_bytes":6,"stderr_bytes":0,"pty_bytes":0,"truncated_lines":0,"dropped_bytes":0,"lost_bytes":0}`
	endedRecord   = ended + `}`
	endedCaptured = ended + `,"stdout":"hello\n","stderr":""}`
)

// examples are the examples of each method.
var examples = map[string][]example{
	rpc.MethodExecute: {
		{"run a program and keep its stdin open",
			ofRunning + `,"command":["cat"],"stdin":"pipe","labels":{"job":"demo"}}`,
			ofRunning + `,"status":"started","pid":4711,"pgid":4711,"containment":"cgroup","created":true}`},
		{"run a shell command and wait for its end",
			ofEnded + `,"command":"echo hello; exit 3","wait":true}`,
			endedCaptured},
		{"run a program on a terminal, and record its input",
			ofTerminal + `,"command":["cat"],"pty":{"rows":24,"cols":80},"record_input":true}`,
			ofTerminal + `,"status":"started","pid":4713,"pgid":4713,"containment":"cgroup","created":true}`},
	},
	rpc.MethodControl: {
		{"pause", ofRunning + `,"type":"PAUSE"}`, ofRunning + `,"status":"paused"}`},
		{"resume", ofRunning + `,"type":"RESUME"}`, ofRunning + `,"status":"resumed"}`},
		{"interrupt", ofRunning + `,"type":"SIGNAL","signal":"SIGINT"}`, ofRunning + `,"status":"signaled"}`},
		{"signal the command alone", ofRunning + `,"type":"SIGNAL","signal":"USR1","to":"leader"}`, ofRunning + `,"status":"signaled"}`},
		{"cancel", ofRunning + `,"type":"CANCEL"}`, ofRunning + `,"status":"canceled"}`},
	},
	rpc.MethodCancel: {
		{"cancel", ofRunning + `,"grace":5}`, ofRunning + `,"status":"canceled","escalated":false,"survivors":[],"survivors_verified":true}`},
	},
	rpc.MethodWrite: {
		{"write a line", ofRunning + `,"data":"hello\n"}`, `{"stdin_bytes":6}`},
		{"write the last bytes, safe to retry",
			ofRunning + `,"data":"aGVsbG8K","encoding":"base64","offset":0,"eof":true}`, `{"stdin_bytes":6}`},
	},
	rpc.MethodWait: {
		{"wait at most a minute", ofEnded + `,"timeout":60,"capture_bytes":65536}`, endedCaptured},
		{"poll", ofEnded + `,"timeout":0}`, endedRecord},
	},
	rpc.MethodRead: {
		{"read from the beginning", ofEnded + `,"after_seq":0,"timeout":10}`,
			`{"events":[` +
				`{"method":"process.started","params":` + startedExample + `},` +
				`{"method":"process.output","params":` + outputExample + `},` +
				`{"method":"process.completed","params":` + endedRecord + `}` +
				`],"last_seq":8,"done":true,"waiting_for_input":null}`},
	},
	rpc.MethodRecording: {
		{"times and sizes of a terminal", ofTerminal + `,"limit":100}`,
			`{"start":"2026-01-02T15:04:05.678Z","term":"xterm-256color","interval":0.01,"input":true,` +
				`"entries":[{"type":"resize","time":0,"seq":1,"rows":24,"cols":80}]}`},
	},
	rpc.MethodAttach: {
		{"attach from the beginning", ofRunning + `,"after_seq":0,"slow_client":"drop"}`,
			ofRunning + `,"state":"running","oldest_seq":0,"last_seq":1}`},
	},
	rpc.MethodAck: {
		{"acknowledge all output up to a position", ofRunning + `,"seq":1}`, `null`},
	},
	rpc.MethodDetach: {
		{"detach", ofRunning + `}`, `{}`},
	},
	rpc.MethodForget: {
		{"delete what is kept of a session", ofEnded + `}`, `{}`},
	},
	rpc.MethodStatus: {
		{"a running session", ofRunning + `}`, runningStatus[:len(runningStatus)-1] + `,"waiting_for_input":true}`},
	},
	rpc.MethodAuthenticate: {
		{"renew the credential", `{"token":"` + exampleToken + `"}`, `{"principal":"user","role":"run"}`},
	},
	rpc.MethodList: {
		{"by label", `{"labels":{"job":"demo"}}`, `{"sessions":[` + runningStatus + `]}`},
	},
	rpc.MethodCancelRequest: {
		{"cancel request 7", `{"id":7}`, ``},
	},
}

// The params of notifications.
const (
	connectedExample = `{"connection_id":"00000000-0000-4000-8000-000000000003","session_id":"00000000-0000-4000-8000-000000000003",` +
		`"server":"runnel","version":"v1.0.0","protocol":1,"principal":"user","role":"run","capabilities":["execute","control","cancel","write","wait","read","attach","status","list","rpc.discover"],` +
		`"limits":{"max_sessions":100,"max_connections":100,"max_message_bytes":1048576,"max_in_flight":1024,"max_in_flight_bytes":67108864,` +
		`"max_batch":64,"max_attached":1000,"max_queued":1000,"max_retained":1000,"replay_bytes":1048576,"replay_total":268435456,"retain":300,"spool_bytes":1073741824,"spool_total":8589934592,"spool_retain":86400,"stdin_queue_bytes":1048576,"max_output_bytes":65536,` +
		`"ping_interval":20,"write_timeout":30,"stream_timeout":300,"timeout":0,"grace":2,"linger":300,"max_line_bytes":1048576,"min_nice":0}}`
	queuedExample   = ofEnded + `,"seq":0,"position":1}`
	failedExample   = ofEnded + `,"seq":0,"error":{"code":-32003,"message":"Session limit reached: 100 of 100 run","data":{"kind":"session_limit","limit":100,"running":100,"retry_after":1,"scope":"server"}}}`
	startedExample  = ofEnded + `,"seq":1,"status":"started","pid":4712,"pgid":4712}`
	outputExample   = ofEnded + `,"seq":7,"type":"stdout","data":"hello\n"}`
	gapExample      = ofEnded + `,"seq":70000,"from_seq":4464,"lost_bytes":65536,"reason":"slow_client"}`
	screenExample   = ofRunning + `,"seq":70000,"rows":24,"cols":80,"data":"\u001b[H\u001b[2J$ "}`
	pausedExample   = ofRunning + `,"seq":2,"status":"paused","pid":4711,"pgid":4711}`
	resumedExample  = ofRunning + `,"seq":3,"status":"resumed","pid":4711,"pgid":4711}`
	exitedExample   = ofRunning + `,"seq":4,"exit_code":0,"signal":null}`
	spoolExample    = ofRunning + `,"seq":4,"state":"stopped","reason":"full"}`
	canceledExample = ofRunning + `,"seq":4,"status":"canceled","pid":4711,"pgid":4711}`
)
