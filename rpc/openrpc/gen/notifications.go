package main

import (
	"reflect"

	"github.com/runnel-rpc/runnel/rpc"
)

// notification describes a notification that the server sends.
type notification struct {
	Name    string
	Summary string
	Params  reflect.Type
	Example string // its params as JSON
}

// notifications has a row for each notification.
var notifications = []notification{
	{rpc.NotifyConnected, "The first message on every connection.", typeOf[rpc.Connected](), connectedExample},
	{rpc.NotifyQueued, "A session waits for a slot, because of `queue_timeout`.", typeOf[rpc.Queued](), queuedExample},
	{rpc.NotifyFailed, "A session that was queued could not be started. This is its last event.", typeOf[rpc.Failed](), failedExample},
	{rpc.NotifyStarted, "The process of a session was started.", typeOf[rpc.StateEvent](), startedExample},
	{rpc.NotifyOutput, "A session has written output.", typeOf[rpc.Output](), outputExample},
	{rpc.NotifyGap, "A part of the log of a session is lost.", typeOf[rpc.Gap](), gapExample},
	{rpc.NotifyScreen, "What the terminal of a session shows, the first event after an `attach` with `screen`.", typeOf[rpc.Screen](), screenExample},
	{rpc.NotifyPaused, "A session was paused.", typeOf[rpc.StateEvent](), pausedExample},
	{rpc.NotifyResumed, "A session was resumed.", typeOf[rpc.StateEvent](), resumedExample},
	{rpc.NotifyCanceled, "A session is being canceled.", typeOf[rpc.StateEvent](), canceledExample},
	{rpc.NotifyExited, "The command itself has exited and the session continues, because with `on_leader_exit` `wait` its descendants are running.", typeOf[rpc.Exited](), exitedExample},
	{rpc.NotifySpool, "The output of a session is no longer kept on the disk.", typeOf[rpc.Spool](), spoolExample},
	{rpc.NotifyCompleted, "A session has ended. This is the completion record, which is always the last event and sent exactly once.", typeOf[rpc.Completion](), endedRecord},
	{rpc.NotifyShutdown, "The server accepts no new sessions.", typeOf[rpc.Shutdown](), `{"drain":30}`},
}
