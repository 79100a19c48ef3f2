package server

import (
	"encoding/json"
	"errors"
	"syscall"

	"github.com/runnel-rpc/runnel/rpc"
	"github.com/runnel-rpc/runnel/session"
	"github.com/runnel-rpc/runnel/session/spool"
)

// CommandCodec is session.Options.Commands.
var CommandCodec = session.CommandCodec{
	Encode: spool.JSON,
	Decode: func(b []byte) (any, error) {
		var c rpc.Command
		err := json.Unmarshal(b, &c)
		return c, err
	},
}

// spoolCapabilities returns the capabilities of a server with a spool.
func (s *Server) spoolCapabilities() []string {
	if s.sessions.Options().Spool == nil {
		return nil
	}
	return []string{"spool", "slow_client:spool"}
}

// spoolReason returns why output is no longer kept on the disk.
func spoolReason(err error) string {
	switch {
	case errors.Is(err, spool.ErrStalled):
		return "stalled"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "full"
	case errors.Is(err, syscall.EROFS):
		return "read_only"
	}
	return "failed"
}

// mayReadSpool returns the error of a slow_client that reads from the disk, if the output of the session
// is not kept there.
func mayReadSpool(slowClient string, v *session.View) *rpc.Error {
	if slowClient == rpc.SlowClientSpool && v.Spool.State == "" {
		return rpc.InvalidParams("slow_client", "slow_client must not be spool: the output of the session is not kept on the disk")
	}
	return nil
}
