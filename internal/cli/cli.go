// Package cli is the command line: one file per command, each a thin client of
// the daemon's API.
package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Exit codes. Commands return an *ExitError to choose one.
const (
	ExitOK      = 0
	ExitFailure = 1 // the command was understood and did not succeed
	ExitUsage   = 2 // the command line or input is wrong; nothing was changed
)

// ExitError carries the exit code of a failed command.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }
func (e *ExitError) Unwrap() error { return e.Err }

// Main runs the command line args (args[0] is the program's name) and returns
// the exit code.
func Main(args []string) int {
	root := newRoot()
	root.SetArgs(args[1:])
	err := root.Execute()
	if err == nil {
		return ExitOK
	}
	fmt.Fprintln(os.Stderr, "ha:", err)
	if e, ok := errors.AsType[*ExitError](err); ok {
		return e.Code
	}
	return ExitFailure
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "ha",
		Short:         "Keep services running through the loss of a process, a host, a disk or a network",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	for _, add := range commands {
		root.AddCommand(add())
	}
	return root
}

// commands holds the constructor of every command, in the order of the help.
var commands = []func() *cobra.Command{newVersion}
