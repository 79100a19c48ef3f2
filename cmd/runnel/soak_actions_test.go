//go:build linux

package main

import (
	"context"
)

// soakActions are what the clients of TestSoak do. An action returns nil if all was as it should
// be, and an error that refused accepts if a bound of the server prevented it.
var soakActions = []struct {
	name string
	do   func(*actor, context.Context) error
}{
	{"short commands", (*actor).shortCommands},
	{"commands that are waited for", (*actor).waitedCommands},
	{"batch", (*actor).batch},
	{"repeated execute", (*actor).repeatedExecute},
	{"failing starts", (*actor).failingStarts},
	{"fast reader", (*actor).fastReader},
	{"slow reader", (*actor).slowReader},
	{"reader that loses output", (*actor).lossyReader},
	{"reader that stops", (*actor).stoppedReader},
	{"reads", (*actor).reads},
	{"window", (*actor).window},
	{"stdin", (*actor).stdin},
	{"terminal", (*actor).terminal},
	{"pause, resume and signals", (*actor).control},
	{"cancel", (*actor).cancels},
	{"queue", (*actor).queues},
	{"descendants", (*actor).descendants},
	{"deadlines and limits", (*actor).deadlines},
	{"attach and take", (*actor).attaches},
	{"reconnect", (*actor).reconnects},
	{"linger", (*actor).lingers},
	{"idle", (*actor).idles},
	{"disconnect", (*actor).disconnects},
	{"killed client", (*actor).killedClient},
	{"flood", (*actor).floods},
	{"bad frames", (*actor).badFrames},
	{"unauthenticated", (*actor).unauthenticated},
	{"stranger", (*actor).strangers},
	{"administrator", (*actor).administrates},
	{"guest", (*actor).guests},
	{"reload", (*actor).reloads},
	{"files of the configuration", (*actor).replaces},
	{"user of a command", (*actor).runsAs},
	{"rotation of the audit log", (*actor).rotates},
}
