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
	{rpc.NotifyStarted, "A session's process runs.", typeOf[rpc.StateEvent](), startedExample},
	{rpc.NotifyOutput, "A session has written.", typeOf[rpc.Output](), outputExample},
	{rpc.NotifyGap, "A part of a session's log is gone.", typeOf[rpc.Gap](), gapExample},
	{rpc.NotifyPaused, "A session was paused.", typeOf[rpc.StateEvent](), pausedExample},
	{rpc.NotifyResumed, "A session goes on.", typeOf[rpc.StateEvent](), resumedExample},
	{rpc.NotifyCanceled, "A session is being canceled.", typeOf[rpc.StateEvent](), canceledExample},
	{rpc.NotifyExited, "The command itself has exited, and the session goes on: with `on_leader_exit` `wait` its descendants live.", typeOf[rpc.Exited](), exitedExample},
	{rpc.NotifyCompleted, "A session has ended: the completion record, always its last event, exactly once.", typeOf[rpc.Completion](), endedRecord},
	{rpc.NotifyShutdown, "The server takes no new sessions.", typeOf[rpc.Shutdown](), `{"drain":30}`},
}
