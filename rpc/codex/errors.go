package codex

import (
	"errors"
	"fmt"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/rpc/files"
	"github.com/runnel-rpc/runnel/rpc/wire"
)

// The codes of errors.
const (
	codeInvalidRequest  = -32600
	codeMethodNotFound  = -32601
	codeInvalidParams   = -32602
	codeInternal        = -32603
	codeNotFound        = -32004
	codeAlreadyAttached = -32010
)

// wireError is the error of a reply.
type wireError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func (e *wireError) Error() string { return e.Message }

func invalidRequest(format string, args ...any) *wireError {
	return &wireError{Code: codeInvalidRequest, Message: fmt.Sprintf(format, args...)}
}

func invalidParams(format string, args ...any) *wireError {
	return &wireError{Code: codeInvalidParams, Message: fmt.Sprintf(format, args...)}
}

func unknownProcess(id string) *wireError { return invalidRequest("unknown process id %s", clip(id)) }

// alternative is what every refusal of a sandbox ends with.
const alternative = "Runnel runs nothing without the sandbox that was asked for; " +
	"use a disposable container or VM with danger-full-access instead"

// errSandbox is the error of a start whose sandbox cannot be mapped, or not be enforced.
func errSandbox(why string) *wireError {
	return &wireError{
		Code:    codeInvalidParams,
		Message: "Runnel cannot enforce this sandbox here: " + why + ". " + alternative,
		Data:    map[string]string{"kind": "sandboxNotEnforceable"},
	}
}

// toWire converts an error to that of the protocol. Those of files are in fileError.
func toWire(err error) *wireError {
	if e := (*wireError)(nil); errors.As(err, &e) {
		return e
	}
	if e := (*files.Error)(nil); errors.As(err, &e) {
		return fileError(e)
	}
	e := (*rpc.Error)(nil)
	if !errors.As(err, &e) {
		return &wireError{Code: codeInternal, Message: "internal error"}
	}
	data, _ := e.Data.(rpc.Data)
	switch kind, _ := data["kind"].(string); {
	case e.Code == rpc.CodeSpawnFailed && kind == "sandbox_failed":
		return errSandbox(e.Message)
	case e.Code == rpc.CodeSpawnFailed && data["errno"] == "ENOENT":
		return &wireError{codeInternal, e.Message, map[string]string{"kind": "spawnNotFound"}}
	case e.Code == rpc.CodeInvalidParams && kind == "not_enforceable":
		return errSandbox(e.Message)
	case e.Code == rpc.CodeInvalidParams:
		return &wireError{Code: codeInvalidParams, Message: e.Message}
	case e.Code == rpc.CodeForbidden:
		return invalidRequest("%s", e.Message)
	}
	return &wireError{Code: codeInternal, Message: e.Message}
}

// clip shortens what a client has sent, for a message.
func clip(text string) string { return wire.Clip(text, 128) }
