package main

// sandboxCmd are the verbs about sandboxes.
type sandboxCmd struct {
	Check    sandboxCheckCmd    `cmd:"" help:"Explain what this machine can enforce of a sandbox, and what to change."`
	Profiles sandboxProfilesCmd `cmd:"" help:"List the profiles of sandboxes, and check a file with them."`
}
