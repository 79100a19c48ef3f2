// Package spawn starts a program with limits and attributes that are set before its first
// instruction. Only Linux can do that; for other systems the package has the types alone.
//
// Limits that are set after the exec would miss a grandchild that is forked first, and the limits
// of this process cannot be changed for the time of the fork, since they apply to all of its
// threads. So a child waits at the start gate, where it has not executed an instruction of the
// program yet, while its Setup is applied. There are two gates:
//
//   - [Traced] starts the program as a tracee (ptrace(2)), which stops at its exec. A set-user-ID
//     program or one with file capabilities does not gain privileges if an unprivileged process
//     traces it, and a sandbox may refuse ptrace(2).
//   - [StartStep] starts the exec step: the executable of this process once more, which waits for
//     an order and then executes the program (see [RunStep]). Only the step can set a umask, and it
//     executes what may wait for a file system.
//
// With a [Sandbox] the exec step makes the process that executes the program: see [Step.Enter].
package spawn
