package main

import (
	"reflect"

	"github.com/runnel-rpc/runnel/rpc"
)

// An about is what the document says of a field beyond its type and its tags.
type about struct {
	doc    string
	def    any      // the default, where the protocol and not the server's configuration sets it
	values []string // the values of a string that no enum tag checks
	types  []string // the types of raw JSON
}

// fields is what is said of the fields of a type, by their names in JSON, and under "" of the type itself.
type fields map[string]about

const (
	sessionDoc         = "The session."
	oneRunningDoc      = "The session; left out, the connection's one session that has not ended."
	seqDoc             = "The place in the log at the end of this event: it counts the bytes of output, and 1 for each state event."
	pidDoc             = "The process id of the command itself."
	pgidDoc            = "The id of its process group."
	graceDoc           = "Seconds from the first signal to SIGKILL; null or 0: SIGKILL at once. Left out, the session's own."
	captureDoc         = "The newest bytes of each stream that the result carries, at most `replay_bytes` of `connected`"
	streamDoc          = "The newest output of this stream."
	streamTruncatedDoc = "There was more output of this stream than is given."
	streamEncodingDoc  = "How the output of this stream is encoded; left out, utf8."
	headDoc            = "With `capture_head_bytes`: the oldest output of this stream that is not among the newest."
	omittedDoc         = "With `capture_head_bytes`: how many bytes lie between the two."
	replacedDoc        = "How many bytes that were not UTF-8 became U+FFFD."
)

var (
	containments = []string{"cgroup", "marker", "group"}
	limitNames   = []string{"cpu_seconds", "memory_bytes", "processes", "open_files", "file_bytes"}
	states       = []string{"starting", "running", "paused", "ending", "ended"}
	reasons      = []string{rpc.ReasonExited, rpc.ReasonSignaled, rpc.ReasonCanceled, rpc.ReasonTimeout, rpc.ReasonStreamTimeout, rpc.ReasonLimit,
		rpc.ReasonDisconnected, rpc.ReasonShutdown, rpc.ReasonLost}
)

// described has a text for each field of the protocol.
var described = map[reflect.Type]fields{
	typeOf[rpc.Bytes](): {
		"": {doc: "A string, or `{\"base64\": …}` for bytes that are not UTF-8. NUL is -32602."},
	},
	typeOf[rpc.Command](): {
		"": {doc: "What to run."},
	},
	typeOf[rpc.ExecuteParams](): {
		"command":            {doc: "A string is run by the server's shell, `/bin/sh -c` unless configured; an array of strings is run directly, without a shell. It must not be empty."},
		"cwd":                {doc: "The working directory; left out, the server's. A relative one is relative to the server's. One that can't be entered is -32008 with its path."},
		"env":                {doc: "Changes to the environment that the server passes on: a string sets a variable, null unsets it. Unless it says otherwise, PWD is `cwd`, or the server's directory."},
		"session_id":         {doc: "An id of the client's own choice; left out, the server makes one. The same execute again, while the session is kept, answers `created:false`: safe to retry after a lost reply. Other params under that id are -32007."},
		"stdin":              {doc: "`pipe` for a stdin that `write` feeds.", def: rpc.StdinNone},
		"merge_stderr":       {doc: "stderr is the same pipe as stdout, so that what is written to them keeps its order, and all of it is `stdout`. Of no effect with `pty`, where that is so anyway.", def: false},
		"pty":                {doc: "Run on a terminal: output has the type `pty`, stdin is open."},
		"timeout":            {doc: "The longest running time in seconds, pauses not counted; null or 0: none. Left out, the server's, which is none unless configured."},
		"stream_timeout":     {doc: "The longest silence on both streams in seconds, not counting pauses and time in which a client holds the process up; written stdin restarts it; null or 0: none. Left out, the server's, 300 unless configured, and none with `pty` or `on_disconnect:\"keep\"`."},
		"grace":              {doc: "Seconds from `stop_signal` to SIGKILL whenever the server ends the tree; null or 0: SIGKILL at once. Left out, the server's, 2 unless configured."},
		"mode":               {doc: "`lines`: whole lines, as many as are ready; `raw`: chunks as they are read. Left out, `lines`, and `raw` with `pty`."},
		"max_line_bytes":     {doc: "The bound of a line in bytes, its newline not counted. Left out, the server's, 1 MiB unless configured."},
		"overflow":           {doc: "What becomes of a longer line: `truncate` ends it with `...`, `split` cuts it into pieces.", def: rpc.OverflowTruncate},
		"encoding":           {doc: "`utf8`: bytes that are not UTF-8 become U+FFFD, and are counted; `base64`; `auto`: base64 only where the bytes are not UTF-8.", def: rpc.EncodingUTF8},
		"wait":               {doc: "Answer at the end, with the completion record and the captured output.", def: false},
		"capture_bytes":      {doc: captureDoc + "; with `wait` only. 0: none.", def: 65536},
		"capture_head_bytes": {doc: "The oldest bytes of each stream that the result carries besides, at most `replay_bytes` of `connected`; also that of `wait`. Each part is cut at the end of a line if there is one within 4 KiB.", def: 0},
		"wait_timeout":       {doc: "With `wait`: after this many seconds answer `status:\"running\"` with the output so far; the session goes on. 0: at once; null or left out: at the end only."},
		"stream":             {doc: "Send `process.output` to this connection; with false it gets all other events and does not pace the process. Left out, true, and false with `wait`."},
		"slow_client":        {doc: "When this connection falls the replay window behind: `block` holds the process up, `drop` loses the oldest output with a `process.gap`.", def: rpc.SlowClientBlock},
		"window":             {doc: "At most this many bytes of output are under way to this connection without an `ack`. Of no effect with `stream:false`. Left out, the socket paces."},
		"on_disconnect":      {doc: "When the last attached connection drops: `kill` ends the tree, `keep` lets it run on.", def: rpc.OnDisconnectKill},
		"linger":             {doc: "The longest time in seconds with no attached connection, `read` or `wait`; null or 0: none. Left out, the server's, 300 unless configured."},
		"on_leader_exit":     {doc: "Descendants still alive when the command itself exits: `kill` them, or `wait` for them.", def: rpc.OnLeaderExitKill},
		"stop_signal":        {doc: "The first signal whenever the server ends the tree, by its name as in signal(7), with or without SIG, or as a record has it; `SIGKILL` leaves no grace. Not SIGSTOP or SIGCONT.", def: "SIGTERM"},
		"limits":             {doc: "Bounds of what the session may use; each that is left out is the server's."},
		"umask":              {doc: "The permission bits that files and directories which the command makes do not get; 18 is 022 in octal. Left out, the server's own."},
		"nice":               {doc: "The nice value of the command: the higher, the less processor time it gets. Left out, the server's own. One below `min_nice` of `connected` is -32602."},
		"soft_limits":        {doc: "Soft limits of the command; each that is left out is the server's own."},
		"labels":             {doc: "Names and values that `status` and `list` return, and that `list` chooses by."},
	},
	typeOf[rpc.PTY](): {
		"":     {doc: "A terminal."},
		"rows": {doc: "Its height in characters."},
		"cols": {doc: "Its width in characters."},
		"term": {doc: "The value of TERM."},
	},
	typeOf[rpc.Limits](): {
		"":             {doc: "Bounds of what a session may use. One that can't be enforced is -32602 `not_enforceable`."},
		"cpu_seconds":  {doc: "CPU time of each process, in seconds, rounded up to whole ones and at least 1: SIGXCPU, and SIGKILL a second later."},
		"memory_bytes": {doc: "Memory of the whole tree, in bytes: beyond it the kernel kills a process of the tree."},
		"processes":    {doc: "Processes of the whole tree, each thread counting as one: beyond it fork fails."},
		"open_files":   {doc: "Open files of each process."},
		"file_bytes":   {doc: "The largest file that a process may write, in bytes: SIGXFSZ."},
	},
	typeOf[rpc.SoftLimits](): {
		"":                    {doc: "Soft limits of setrlimit(2), which a process may raise again up to its hard ones. null is none. One above the hard limit that the command has is that hard limit."},
		"address_space_bytes": {doc: "RLIMIT_AS: virtual memory."},
		"core_bytes":          {doc: "RLIMIT_CORE: the size of a core dump."},
		"cpu_seconds":         {doc: "RLIMIT_CPU: processor time, in seconds. SIGXCPU."},
		"data_bytes":          {doc: "RLIMIT_DATA: private writable memory."},
		"file_bytes":          {doc: "RLIMIT_FSIZE: the largest file that may be written. SIGXFSZ."},
		"locked_bytes":        {doc: "RLIMIT_MEMLOCK: memory locked into RAM."},
		"message_queue_bytes": {doc: "RLIMIT_MSGQUEUE: POSIX message queues of the user."},
		"nice_ceiling":        {doc: "RLIMIT_NICE: 20 minus the lowest nice value that may be set without privilege."},
		"open_files":          {doc: "RLIMIT_NOFILE: open files."},
		"pending_signals":     {doc: "RLIMIT_SIGPENDING: queued signals of the user."},
		"realtime_priority":   {doc: "RLIMIT_RTPRIO: the highest real-time priority that may be set without privilege."},
		"resident_bytes":      {doc: "RLIMIT_RSS, of no effect on Linux."},
		"stack_bytes":         {doc: "RLIMIT_STACK: the stack of the main thread."},
		"user_processes":      {doc: "RLIMIT_NPROC: processes and threads of the user."},
	},
	typeOf[rpc.HeldLimit](): {
		"":      {doc: "A limit of a session."},
		"limit": {doc: "Its name.", values: limitNames},
		"value": {doc: "Its value."},
		"by":    {doc: "What enforces it: a controller of the session's own control group, one of version 1, or setrlimit.", values: []string{"cgroup", "cgroup_v1", "rlimit"}},
	},
	typeOf[rpc.ExecuteResult](): {
		"":            {doc: "The process runs."},
		"status":      {doc: "That it was started.", values: []string{"started"}},
		"session_id":  {doc: sessionDoc},
		"pid":         {doc: pidDoc},
		"pgid":        {doc: pgidDoc},
		"containment": {doc: "What holds the process tree together.", values: containments},
		"created":     {doc: "False where the same execute had made the session before."},
	},
	typeOf[rpc.ControlParams](): {
		"session_id": {doc: oneRunningDoc},
		"type":       {doc: "PAUSE stops the whole tree and its deadlines, RESUME lets it go on, CANCEL ends it, SIGNAL sends it a signal, RESIZE sets the size of its terminal.", values: rpc.ControlTypes},
		"signal":     {doc: "With SIGNAL: the name of a signal as in signal(7), with or without SIG, or as a record has it: SIGINT, INT, SIG34, RTMIN+1. With CANCEL: instead of the session's `stop_signal`. Not SIGSTOP or SIGCONT."},
		"to":         {doc: "With SIGNAL: whom it reaches, the whole `tree` or the `leader`, which is the command itself.", def: rpc.ToTree},
		"grace":      {doc: "With CANCEL: s" + graceDoc[1:]},
		"rows":       {doc: "With RESIZE: the new height in characters."},
		"cols":       {doc: "With RESIZE: the new width in characters."},
	},
	typeOf[rpc.ControlResult](): {
		"":             {doc: "What was done."},
		"status":       {doc: "`paused`, `resumed`, `signaled` or `resized`; for CANCEL the status of the completion record.", values: []string{"paused", "resumed", "signaled", "resized", rpc.StatusCompleted, rpc.StatusCanceled, rpc.StatusFailed}},
		"session_id":   {doc: sessionDoc},
		"not_signaled": {doc: "With SIGNAL: the ids of processes that it did not reach, because they have another user; left out for none."},
	},
	typeOf[rpc.CancelParams](): {
		"session_id": {doc: oneRunningDoc},
		"grace":      {doc: graceDoc},
		"signal":     {doc: "The first signal, instead of the session's `stop_signal`; a session that is ending already is sent it too."},
	},
	typeOf[rpc.CancelResult](): {
		"":                   {doc: "How the session ended."},
		"status":             {doc: "The status of the completion record: `canceled` if nothing else ended the session first.", values: []string{rpc.StatusCompleted, rpc.StatusCanceled, rpc.StatusFailed}},
		"session_id":         {doc: sessionDoc},
		"escalated":          {doc: "SIGKILL was needed."},
		"survivors":          {doc: "Process ids of what could not be killed."},
		"survivors_verified": {doc: "False if the tree could not be inspected, so that others than `survivors` may live."},
	},
	typeOf[rpc.WriteParams](): {
		"session_id": {doc: oneRunningDoc},
		"data":       {doc: "What to write, in `encoding`."},
		"encoding":   {doc: "The encoding of `data`.", def: rpc.EncodingUTF8},
		"eof":        {doc: "Close stdin behind the data; on a terminal, type VEOF.", def: false},
		"offset":     {doc: "Where in the whole of stdin `data` begins, in bytes: what the server already has is skipped, so that a retry never doubles input. Beyond `stdin_bytes` is -32602. Left out, it follows what was written before."},
	},
	typeOf[rpc.WriteResult](): {
		"":            {doc: "The data is in the stdin queue."},
		"stdin_bytes": {doc: "All bytes of stdin accepted so far."},
	},
	typeOf[rpc.WaitParams](): {
		"session_id":    {doc: sessionDoc},
		"timeout":       {doc: "The longest wait in seconds, -32004 at its end; 0 polls; null or left out waits for good."},
		"capture_bytes": {doc: captureDoc + ". Left out, none is."},
	},
	typeOf[rpc.ReadParams](): {
		"session_id": {doc: sessionDoc},
		"after_seq":  {doc: "Where to begin: right behind this place, which may be any.", def: 0},
		"max_bytes":  {doc: "The most output in the answer, in bytes; more comes with the next read."},
		"timeout":    {doc: "The longest wait for a first event in seconds, after which the answer is empty; 0 polls; null or left out waits for good."},
	},
	typeOf[rpc.ReadResult](): {
		"":         {doc: "What follows in the log."},
		"events":   {doc: "The events, in order; a gap is one of them."},
		"last_seq": {doc: "The place to read on from."},
		"done":     {doc: "The completion record was the last: there is no more."},
	},
	typeOf[rpc.Event](): {
		"":       {doc: "A notification, as it would have been sent."},
		"method": {doc: "The notification's method.", values: []string{rpc.NotifyStarted, rpc.NotifyOutput, rpc.NotifyGap, rpc.NotifyPaused, rpc.NotifyResumed, rpc.NotifyCanceled, rpc.NotifyCompleted}},
		"params": {doc: "The notification's params.", types: []string{"object"}},
	},
	typeOf[rpc.AttachParams](): {
		"session_id":  {doc: sessionDoc},
		"after_seq":   {doc: "Where to begin: right behind this place, which may be any.", def: 0},
		"slow_client": {doc: "When this connection falls the replay window behind: `block` holds the process up, `drop` loses the oldest output with a `process.gap`.", def: rpc.SlowClientBlock},
		"window":      {doc: "At most this many bytes of output are under way to this connection without an `ack`. Left out, the socket paces."},
		"take":        {doc: "Detach all other connections.", def: false},
	},
	typeOf[rpc.AttachResult](): {
		"":           {doc: "The connection is attached; the events follow."},
		"session_id": {doc: sessionDoc},
		"state":      {doc: "The session's state.", values: states},
		"oldest_seq": {doc: "Where the log begins that is still kept."},
		"last_seq":   {doc: "Where the log ends at present."},
	},
	typeOf[rpc.AckParams](): {
		"session_id": {doc: sessionDoc},
		"seq":        {doc: "All output up to this place is consumed."},
	},
	typeOf[rpc.DetachResult](): {
		"": {doc: "The connection is not attached any more."},
	},
	typeOf[rpc.OpenRPC](): {
		"":           {doc: "An OpenRPC document."},
		"openrpc":    {doc: "The version of OpenRPC."},
		"info":       {doc: "The title and the version of the protocol.", types: []string{"object"}},
		"servers":    {doc: "Where a server listens unless configured.", types: []string{"object"}},
		"methods":    {doc: "The methods and notifications.", types: []string{"object"}},
		"components": {doc: "The schemas and errors that methods refer to.", types: []string{"object"}},
	},
	typeOf[rpc.SessionParams](): {
		"session_id": {doc: sessionDoc},
	},
	typeOf[rpc.ListParams](): {
		"state":  {doc: "Only sessions in this state."},
		"labels": {doc: "Only sessions that have all of these labels."},
		"limit":  {doc: "The most sessions in the result. Left out, as many as fit into a message."},
		"after":  {doc: "The `next` of an earlier list: sessions behind that page."},
	},
	typeOf[rpc.ListResult](): {
		"":          {doc: "A page of the caller's sessions."},
		"sessions":  {doc: "The sessions, newest first."},
		"next":      {doc: "There are older ones: list them with this as `after`. It stays valid whatever sessions come and go."},
		"truncated": {doc: "There are older ones, which did not fit into one message."},
	},
	typeOf[rpc.ExitStatus](): {
		"":          {doc: "How a command ended."},
		"exit_code": {doc: "The exit code, or null if a signal ended the command or the server could not learn it."},
		"signal":    {doc: "The name of the signal that ended the command, or null."},
	},
	typeOf[rpc.SessionStatus](): {
		"exited":            {doc: "How the command itself has ended, where its descendants kept the session running then."},
		"":                  {doc: "A session."},
		"session_id":        {doc: "Its id."},
		"state":             {doc: "Its state.", values: states},
		"command":           {doc: "The command as it was given. Each byte that is not UTF-8 is U+FFFD."},
		"command_base64":    {doc: "Where the command is not UTF-8: the exact bytes of the string, or of each argument, in base64."},
		"command_truncated": {doc: "The rest of the command did not fit into a message."},
		"pid":               {doc: pidDoc + " 0 while it is starting."},
		"pgid":              {doc: pgidDoc + " 0 while it is starting."},
		"containment":       {doc: "What holds the process tree together.", values: containments},
		"limits":            {doc: "Its limits, those that the server sets too."},
		"started_at":        {doc: "When its start began, in UTC."},
		"labels":            {doc: "Its labels."},
		"labels_truncated":  {doc: "The longest labels did not fit into a message."},
		"stdin_bytes":       {doc: "All bytes of stdin accepted so far."},
		"output":            {doc: "What it has written so far."},
		"completion":        {doc: "The completion record, if it has ended."},
	},
	typeOf[rpc.StatusResult](): {
		"": {doc: "A session, and who reads its stdin."},
	},
	typeOf[rpc.InputState](): {
		"waiting_for_input": {doc: "True when a process of the session is blocked in read, poll, select or epoll on its stdin or terminal; else null, also where that can't be known."},
		"echo":              {doc: "With `pty`, until the session has ended: whether the terminal echoes what is typed. False where a password is asked for."},
	},
	typeOf[rpc.CancelRequestParams](): {
		"id": {doc: "The id of the request to cancel, as it was sent.", types: []string{"string", "number"}},
	},
	typeOf[rpc.Connected](): {
		"connection_id": {doc: "The id of this connection."},
		"session_id":    {doc: "Equals `connection_id`; clients of `cc_executor` look for it."},
		"server":        {doc: "The server's name.", values: []string{"runnel"}},
		"version":       {doc: "The server's version."},
		"protocol":      {doc: "The version of the protocol."},
		"capabilities":  {doc: "What this server can do, to look before asking."},
		"limits":        {doc: "The server's bounds and defaults."},
	},
	typeOf[rpc.Bounds](): {
		"":                    {doc: "The server's bounds and defaults. A default of 0 seconds is none."},
		"max_sessions":        {doc: "Sessions that may run at once."},
		"max_connections":     {doc: "Connections that may be open at once."},
		"max_message_bytes":   {doc: "The longest message from a client, in bytes."},
		"max_in_flight":       {doc: "Requests in flight on a connection."},
		"max_in_flight_bytes": {doc: "Bytes of the params of the requests in flight on a connection."},
		"max_batch":           {doc: "Items of a batch."},
		"max_attached":        {doc: "Sessions that one connection is attached to."},
		"max_retained":        {doc: "Ended sessions whose record and log are kept."},
		"replay_bytes":        {doc: "The newest bytes of a session's log that are kept."},
		"replay_total":        {doc: "Bytes of all logs together; beyond them, those of ended sessions go first."},
		"retain":              {doc: "Seconds for which an ended session is kept."},
		"stdin_queue_bytes":   {doc: "Bytes that wait for a session's stdin."},
		"max_output_bytes":    {doc: "The most output in one notification, in bytes before escaping."},
		"ping_interval":       {doc: "Seconds between pings; a peer from which nothing came for three of them, and that read no output that waits for it, is cut off."},
		"write_timeout":       {doc: "Seconds after which a peer that takes no byte is cut off."},
		"stream_timeout":      {doc: "The default of execute, in seconds."},
		"timeout":             {doc: "The default of execute, in seconds."},
		"grace":               {doc: "The default of execute, in seconds."},
		"linger":              {doc: "The default of execute, in seconds."},
		"max_line_bytes":      {doc: "The default of execute."},
		"min_nice":            {doc: "The lowest `nice` that execute takes."},
	},
	typeOf[rpc.StateEvent](): {
		"session_id": {doc: sessionDoc},
		"seq":        {doc: seqDoc},
		"status":     {doc: "The last word of the method.", values: []string{"started", "paused", "resumed", "canceled"}},
		"pid":        {doc: pidDoc},
		"pgid":       {doc: pgidDoc},
	},
	typeOf[rpc.Exited](): {
		"session_id": {doc: sessionDoc},
		"seq":        {doc: "The place in the log at which the event lies; it takes none of its own."},
		"exit_code":  {doc: "The exit code, or null if a signal ended the command or the server could not learn it."},
		"signal":     {doc: "The name of the signal that ended the command, or null."},
	},
	typeOf[rpc.Output](): {
		"session_id":    {doc: sessionDoc},
		"seq":           {doc: seqDoc},
		"type":          {doc: "Where the output comes from.", values: []string{rpc.StreamStdout, rpc.StreamStderr, rpc.StreamPTY}},
		"data":          {doc: "The output, in `encoding`, at most 64 KiB before escaping. Joining the data of one type gives the stream back, byte for byte."},
		"encoding":      {doc: "How `data` is encoded; left out, utf8.", values: []string{rpc.EncodingUTF8, rpc.EncodingBase64}},
		"truncated":     {doc: "The line was longer than `max_line_bytes`; `data` ends with `...`, and the rest is dropped."},
		"partial":       {doc: "`data` does not end with a newline: more of the line may follow."},
		"replaced":      {doc: replacedDoc},
		"dropped_bytes": {doc: "How many bytes of the line that ends here were dropped."},
	},
	typeOf[rpc.Gap](): {
		"session_id": {doc: sessionDoc},
		"seq":        {doc: "Where the gap ends."},
		"from_seq":   {doc: "Where the gap begins."},
		"lost_bytes": {doc: "How many bytes of output lay in it."},
		"reason":     {doc: "`slow_client`: this connection fell too far behind; `replay_window`: the log keeps no more.", values: []string{rpc.GapSlowClient, rpc.GapReplayWindow}},
	},
	typeOf[rpc.Shutdown](): {
		"drain": {doc: "Seconds that running sessions have."},
	},
	typeOf[rpc.Completion](): {
		"":                   {doc: "The completion record. Exactly one of `exit_code` and `signal` is not null, as the kernel reported it; both are null where the server could not learn it."},
		"session_id":         {doc: sessionDoc},
		"seq":                {doc: seqDoc},
		"status":             {doc: "`completed`: exited with code 0; `canceled`; `failed`: all else.", values: []string{rpc.StatusCompleted, rpc.StatusCanceled, rpc.StatusFailed}},
		"exit_code":          {doc: "The exit code, or null if a signal ended the command or the server could not learn it."},
		"signal":             {doc: "The name of the signal that ended the command, or null."},
		"reason":             {doc: "The first cause of the end.", values: reasons},
		"limit":              {doc: "With reason `limit`: which limit the kernel ended the command for.", values: limitNames},
		"escalated":          {doc: "SIGKILL was needed."},
		"survivors":          {doc: "Process ids of what could not be killed."},
		"survivors_verified": {doc: "False if the tree could not be inspected, so that others than `survivors` may live."},
		"pid":                {doc: pidDoc},
		"pgid":               {doc: pgidDoc},
		"execution_time":     {doc: "Seconds from the start to the exit of the command itself."},
		"usage":              {doc: "What the kernel accounted to the command."},
		"output":             {doc: "What the session has written."},
	},
	typeOf[rpc.Usage](): {
		"":              {doc: "What the kernel accounted to the command and the children that it waited for; with containment `cgroup`, the times are those of the whole tree. What can't be known truly is null."},
		"user_time":     {doc: "CPU time in user mode, in seconds."},
		"system_time":   {doc: "CPU time in the kernel, in seconds."},
		"max_rss_bytes": {doc: "The largest resident set of one process, in bytes; where a control group counts the memory of the tree, the peak of all of it."},
	},
	typeOf[rpc.OutputCounts](): {
		"":                {doc: "Counts of a session's output."},
		"stdout_bytes":    {doc: "Bytes that the process wrote to stdout, truncated or not."},
		"stderr_bytes":    {doc: "Bytes that the process wrote to stderr, truncated or not."},
		"pty_bytes":       {doc: "Bytes that the process wrote to its terminal, truncated or not."},
		"truncated_lines": {doc: "Lines that were truncated."},
		"dropped_bytes":   {doc: "Bytes that truncation took."},
		"lost_bytes":      {doc: "Bytes that left the log before any connection had them."},
	},
	typeOf[rpc.Captured](): {
		"": {doc: "The completion record, with the newest output of each stream where it was asked for, and the oldest."},
	},
	typeOf[rpc.StillRunning](): {
		"":           {doc: "`wait_timeout` has passed. The session goes on; this is its output so far, as far as it was asked for."},
		"status":     {doc: "That it has not ended.", values: []string{rpc.StatusRunning}},
		"session_id": {doc: sessionDoc},
		"last_seq":   {doc: "The place in the log where the output ends: `read` and `attach` go on behind it."},
	},
	typeOf[rpc.CapturedOutput](): {
		"stdout_head":          {doc: headDoc},
		"stdout_omitted_bytes": {doc: omittedDoc},
		"stdout":               {doc: streamDoc},
		"stdout_truncated":     {doc: streamTruncatedDoc},
		"stdout_encoding":      {doc: streamEncodingDoc, values: []string{rpc.EncodingUTF8, rpc.EncodingBase64}},
		"stdout_replaced":      {doc: replacedDoc},
		"stderr_head":          {doc: headDoc},
		"stderr_omitted_bytes": {doc: omittedDoc},
		"stderr":               {doc: streamDoc},
		"stderr_truncated":     {doc: streamTruncatedDoc},
		"stderr_encoding":      {doc: streamEncodingDoc, values: []string{rpc.EncodingUTF8, rpc.EncodingBase64}},
		"stderr_replaced":      {doc: replacedDoc},
		"pty_head":             {doc: headDoc},
		"pty_omitted_bytes":    {doc: omittedDoc},
		"pty":                  {doc: streamDoc},
		"pty_truncated":        {doc: streamTruncatedDoc},
		"pty_encoding":         {doc: streamEncodingDoc, values: []string{rpc.EncodingUTF8, rpc.EncodingBase64}},
		"pty_replaced":         {doc: replacedDoc},
	},
}
