package rpc

import (
	"encoding/json"
	"errors"

	"github.com/runnel-rpc/runnel/rpc/wire"
)

// The values of the fields of a sandbox.
const (
	AccessNone  = "none"
	AccessRead  = "read"
	AccessWrite = "write"

	MissingSkip   = "skip"
	MissingCreate = "create"
	MissingError  = "error"

	NetworkNone  = "none"
	NetworkAllow = "allow"
	NetworkFull  = "full"

	ProcessesOwn    = "own"
	ProcessesShared = "shared"

	TmpPrivate = "private"
	TmpShared  = "shared"

	DevicesMinimal = "minimal"

	UnixSocketsNone = "none"
	UnixSocketsFull = "full"

	MetadataFiles = "files"
	MetadataFull  = "full"
)

// Sandbox is what a command may reach: the name of a profile, or an object. What the object leaves
// out is as in its profile; without one, as in the server's floor, and if there is none, as in
// `read-only`. What asks for more than the floor is refused. A field that the machine cannot enforce
// is -32602 `not_enforceable`.
type Sandbox struct {
	// The name of a profile: `off`, `read-only`, `workspace`, or one that the operator has defined.
	Profile string `json:"profile,omitempty" rpc:"nonempty"`
	// The access to files. These rules are added to those of the profile, and replace those with the
	// same path. Of several the one with the longest path applies.
	Files []SandboxRule `json:"files,omitempty"`
	// The access to files below no rule.
	FilesDefault string `json:"files_default,omitempty" enum:"none,read"`
	// The network: `full` is that of the server, `none` is nothing. An object lists what may be
	// connected to, through a proxy to which HTTP_PROXY, HTTPS_PROXY and ALL_PROXY lead.
	Network SandboxNetwork `json:"network,omitzero"`
	// `own`: other processes are invisible and cannot be reached.
	Processes string `json:"processes,omitempty" enum:"own,shared"`
	// `private`: /tmp and /var/tmp are empty, and are removed with the session. `shared`: they are as
	// `files` says.
	Tmp string `json:"tmp,omitempty" enum:"private,shared"`
	// The device files: null, zero, full, random, urandom, tty, and terminals of its own.
	Devices string `json:"devices,omitempty" enum:"minimal"`
	// Whether Unix sockets can be made. socketpair(2) is always possible.
	UnixSockets string `json:"unix_sockets,omitempty" enum:"none,full"`
	// Of which files the command may change mode, owner, times and attributes, as far as its user may.
	// `files`: of those that `files` makes writable. `full`: of all, also those that it cannot open.
	Metadata string `json:"metadata,omitempty" enum:"files,full"`
}

// SandboxRule is the access to a path and to everything below it.
type SandboxRule struct {
	// The path. A relative one is relative to `cwd`; `~/` is the home directory of the user that the
	// command runs as.
	Path Bytes `json:"path" rpc:"required"`
	// `none`: it cannot be opened. `read`: it can be read and executed. `write`: it can be changed,
	// too.
	Access string `json:"access" rpc:"required" enum:"none,read,write"`
	// What is done if the path does not exist: `error` refuses the start, `skip` ignores the rule,
	// `create` makes an empty directory, which remains.
	Missing string `json:"missing,omitempty" enum:"skip,create,error" default:"error"`
}

// SandboxNetwork is the network of a sandbox.
type SandboxNetwork struct {
	Mode  string   // NetworkNone, NetworkAllow or NetworkFull; "" is left out
	Allow []string // with NetworkAllow: HOST:PORT
}

// sandboxObject is a Sandbox without its methods.
type sandboxObject Sandbox

// UnmarshalJSON accepts the name of a profile, or an object.
func (s *Sandbox) UnmarshalJSON(raw []byte) error {
	*s = Sandbox{}
	switch wire.KindOf(raw) {
	case wire.String:
		if err := wire.Decode(raw, &s.Profile); err != nil {
			return err
		}
		if s.Profile == "" {
			return errors.New("must not be empty")
		}
		return nil
	case wire.Object:
		return wire.Decode(raw, (*sandboxObject)(s))
	}
	return errors.New("must be the name of a profile, or an object")
}

// MarshalJSON writes the name of a profile if nothing else is set, and otherwise an object.
func (s Sandbox) MarshalJSON() ([]byte, error) {
	if s.Profile != "" && s.onlyProfile() {
		return wire.AppendQuote(nil, s.Profile), nil
	}
	return json.Marshal(sandboxObject(s))
}

func (s *Sandbox) onlyProfile() bool {
	return len(s.Files) == 0 && s.FilesDefault == "" && s.Network.IsZero() && s.Processes == "" && s.Tmp == "" &&
		s.Devices == "" && s.UnixSockets == "" && s.Metadata == ""
}

var errNotNetwork = &wire.FieldError{Text: `must be full, none or {"allow": […]}`, Known: []string{NetworkFull, NetworkNone}}

// UnmarshalJSON accepts the string "full" or "none", or an object with the list allow.
func (n *SandboxNetwork) UnmarshalJSON(raw []byte) error {
	*n = SandboxNetwork{}
	switch wire.KindOf(raw) {
	case wire.Null:
		return nil
	case wire.String:
		if err := wire.Decode(raw, &n.Mode); err != nil {
			return err
		}
		if n.Mode == NetworkFull || n.Mode == NetworkNone {
			return nil
		}
	case wire.Object:
		var object struct {
			Allow []string `json:"allow" rpc:"required"`
		}
		err := wire.Decode(raw, &object)
		n.Mode, n.Allow = NetworkAllow, object.Allow
		return err
	}
	e := *errNotNetwork // the decoder completes it
	return &e
}

// MarshalJSON writes the string, or the object. It fails if Mode is not one of the constants.
func (n SandboxNetwork) MarshalJSON() ([]byte, error) {
	switch n.Mode {
	case NetworkFull, NetworkNone:
		return wire.AppendQuote(nil, n.Mode), nil
	case NetworkAllow:
		return json.Marshal(map[string][]string{"allow": append([]string{}, n.Allow...)})
	}
	return nil, errors.New("the network of a sandbox must be none, allow or full")
}

// IsZero reports whether the network is left out, for a field with the tag omitzero.
func (n SandboxNetwork) IsZero() bool { return n.Mode == "" }

// SandboxReport is of what a sandbox was made, what it enforces, and by what. It has neither the rules
// of files nor the list of destinations.
type SandboxReport struct {
	// The profile that the request named, or `read-only` if it named none and there is no floor. It is
	// left out if the sandbox was made of the floor.
	Profile string `json:"profile,omitempty"`
	// The profiles that the server and its policy require, none twice.
	Floor []string `json:"floor,omitempty"`
	// The files.
	Files SandboxFiles `json:"files"`
	// The network.
	Network SandboxPart `json:"network"`
	// The processes.
	Processes SandboxPart `json:"processes"`
	// The directories for temporary files.
	Tmp SandboxPart `json:"tmp"`
	// The Unix sockets.
	UnixSockets SandboxPart `json:"unix_sockets"`
	// The modes, owners, times and attributes of files. It is `files` also where `full` was permitted, if
	// something refuses the rest.
	Metadata SandboxPart `json:"metadata"`
	// With the network `allow`: destinations that the proxy refused, at most 32.
	Denied []SandboxDenial `json:"denied,omitempty"`
	// How many attempts at further destinations the proxy refused.
	DeniedMore int64 `json:"denied_more,omitempty"`
}

// SandboxFiles is how the access to files is enforced.
type SandboxFiles struct {
	// What enforces it, as in `bubblewrap+landlock`.
	By string `json:"by"`
	// The access to files below no rule.
	Default string `json:"default" enum:"none,read"`
}

// SandboxPart is one part of a sandbox.
type SandboxPart struct {
	// What enforces it, as in `namespace`. It is left out if there is nothing to enforce.
	By string `json:"by,omitempty"`
	// The value of the field.
	Mode string `json:"mode"`
}

// SandboxDenial is a destination that the proxy of a sandbox refused.
type SandboxDenial struct {
	// The name or the address that the command asked for.
	Host string `json:"host"`
	// The port that the command asked for.
	Port int `json:"port"`
	// `not_listed`: `allow` does not have it. `not_public`: its address is not public, and not listed
	// itself. `server_name`: a TLS handshake named another server.
	Reason string `json:"reason" enum:"not_listed,not_public,server_name"`
	// How many times it was refused.
	Count int64 `json:"count"`
}
