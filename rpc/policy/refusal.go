package policy

import (
	"fmt"

	"github.com/runnel-rpc/runnel/rpc"
)

// Refusal is the error of what a policy does not permit. The client gets the error that it wraps,
// which has the rule and the field and nothing else of the policy.
type Refusal struct {
	Rule   string // the key of the policy, as in principal.ci.programs
	Field  string // the param, as in command[0]
	Reason string // for the operator: it may name files, users and values of the request
	reply  *rpc.Error
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s does not permit %s: %s", r.Rule, r.Field, r.Reason)
}

// Unwrap returns the *rpc.Error for the client.
func (r *Refusal) Unwrap() error { return r.reply }

func refuse(rule, field, format string, args ...any) *Refusal {
	return &Refusal{rule, field, fmt.Sprintf(format, args...), rpc.Forbidden(rule, field)}
}

// refuse returns the refusal of a key of the section.
func (s *section) refuse(key, field, format string, args ...any) *Refusal {
	return refuse(s.rule(key), field, format, args...)
}
