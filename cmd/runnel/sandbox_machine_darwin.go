package main

import (
	"context"
	"os"
)

func examineMachine(context.Context, string, bool) machine {
	return machine{System: "macOS", UID: os.Geteuid(), OnlyLinux: true}
}
