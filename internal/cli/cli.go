// Package cli is the command line: one file per command, each a thin client of
// the daemon's API.
package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"linuxha/internal/api"
	"linuxha/internal/lab"
)

// Exit codes. Commands return an *ExitError to choose one.
const (
	ExitOK      = 0
	ExitFailure = 1 // the command was understood and did not succeed
	ExitUsage   = 2 // the command line or input is wrong; nothing was changed
)

// ExitError carries the exit code of a failed command. Without an Err the
// command has said all that there is to say.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}
func (e *ExitError) Unwrap() error { return e.Err }

// faces maps other names of the binary (the base name of argv[0]) to what it
// does under them; each gets all of argv and returns the exit code.
var faces = lab.Faces()

// Main runs the command line args (args[0] is the program's name) and returns
// the exit code.
func Main(args []string) int {
	if face, ok := faces[filepath.Base(args[0])]; ok {
		return face(args)
	}
	root := newRoot()
	root.SetArgs(args[1:])
	err := root.Execute()
	if err == nil {
		return ExitOK
	}
	e, ok := errors.AsType[*ExitError](err)
	if !ok {
		e = &ExitError{ExitFailure, err}
	}
	if r, refused := errors.AsType[*api.Refusal](err); refused && r.Kind == "invalid" && !ok {
		e.Code = ExitUsage
	}
	if e.Err != nil {
		fmt.Fprintln(os.Stderr, "ha:", err)
	}
	return e.Code
}

// usage marks an error of the command line or of its input.
func usage(format string, args ...any) error {
	return &ExitError{Code: ExitUsage, Err: fmt.Errorf(format, args...)}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "ha",
		Short:         "Keep services running through the loss of a process, a host, a disk or a network",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&rootDir, "root", os.Getenv("HA_ROOT"), "directory below which /etc/ha, /run/ha and /var/lib/ha are kept (default $HA_ROOT)")
	for _, add := range commands {
		root.AddCommand(add())
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w; see '%s --help'", err, cmd.CommandPath())
	})
	markUsage(root)
	return root
}

// markUsage makes wrong arguments of every command usage errors.
func markUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage("%w; see '%s --help'", err, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		markUsage(c)
	}
}

// rootDir moves every fixed path below itself; "" for the real ones.
var rootDir string

// commands holds the constructor of every command, in the order of the help.
var commands = []func() *cobra.Command{
	newInit,
	newJoin,
	newToken,
	newDaemon,
	newAgentWeb,
	newStatus,
	newExplain,
	newEvents,
	newConfig,
	newPlan,
	newApply,
	newSimulate,
	newNode,
	newResource,
	newFence,
	newQuorum,
	newLab,
	newDemo,
	newSim,
	newVersion,
}
