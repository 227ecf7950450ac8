// Package cli is the command line: one file per command, each a thin client of
// the daemon's API.
package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
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
	root := newRoot(args[1:]...)
	root.SetArgs(args[1:])
	err := unknownCommand(root, args[1:])
	if err == nil {
		err = root.Execute()
	}
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

// newRoot returns the tree of commands; only that of one command where args begin
// with its name: for the whole tree every start of ha paid a quarter of a millisecond.
func newRoot(args ...string) *cobra.Command {
	root := &cobra.Command{
		Use:           "ha",
		Short:         "Keep services running through the loss of a process, a host, a disk or a network",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&rootDir, "root", os.Getenv("HA_ROOT"), "directory below which /etc/ha, /run/ha and /var/lib/ha are kept (default $HA_ROOT)")
	wanted := commands
	if i := slices.IndexFunc(commands, func(c command) bool { return len(args) > 0 && c.name == args[0] }); i >= 0 {
		wanted = commands[i : i+1]
	}
	for _, c := range wanted {
		root.AddCommand(c.build())
	}
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%s; see '%s --help'", flagError(cmd, err), cmd.CommandPath())
	})
	markUsage(root)
	return root
}

// unknownCommand says that there is no such command, and which one may be meant;
// the library itself prints help for a group of commands, and calls that success.
func unknownCommand(root *cobra.Command, args []string) error {
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return nil
	}
	cmd, rest, err := root.Find(args)
	if err != nil {
		cmd, rest = root, args
	} else if cmd.Runnable() {
		return nil
	}
	cmd.InitDefaultHelpFlag()
	if cmd.ParseFlags(rest) != nil {
		return nil // the library says so
	}
	if rest = cmd.Flags().Args(); len(rest) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	name := rest[0]
	if near := cluster.Nearest(name, known); near != "" {
		return usage("there is no command '%s %s'; did you mean '%s %s'?", cmd.CommandPath(), name, cmd.CommandPath(), near)
	}
	return usage("there is no command '%s %s'; there are %s", cmd.CommandPath(), name, strings.Join(known, ", "))
}

// markUsage makes wrong arguments of every command usage errors.
func markUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage("%s; see '%s --help'", argumentError(cmd, args, err), cmd.CommandPath())
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		markUsage(c)
	}
}

// argumentError says what to type where the library only counts.
func argumentError(cmd *cobra.Command, args []string, err error) string {
	line := strings.TrimSuffix(cmd.UseLine(), " [flags]")
	switch text := err.Error(); {
	case strings.HasPrefix(text, "unknown command"): // cobra.NoArgs
		return fmt.Sprintf("'%s' takes no arguments, and %q is one", cmd.CommandPath(), args[0])
	case !strings.HasPrefix(text, "accepts ") && !strings.HasPrefix(text, "requires "):
		return text
	case len(args) == 0:
		return fmt.Sprintf("something is missing: type '%s'", line)
	}
	return fmt.Sprintf("%d arguments do not fit: type '%s'", len(args), line)
}

// invalidFlag is how the library words a value that cannot be read.
var invalidFlag = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)^invalid argument "(.*)" for "(?:-., )?--([^"]+)" flag: `)
})

// flagError says what a flag wants, not how reading it failed.
func flagError(cmd *cobra.Command, err error) string {
	found := invalidFlag().FindStringSubmatch(err.Error())
	if found == nil {
		return err.Error()
	}
	wants := map[string]string{"int": "a whole number", "uint64": "a whole number", "float64": "a number", "duration": "a duration such as 30s", "bool": "true or false"}
	if f := cmd.Flags().Lookup(found[2]); f != nil && wants[f.Value.Type()] != "" {
		return fmt.Sprintf("--%s wants %s, not %q", found[2], wants[f.Value.Type()], found[1])
	}
	return err.Error()
}

// rootDir moves every fixed path below itself; "" for the real ones.
var rootDir string

type command struct {
	name  string
	build func() *cobra.Command
}

// commands holds every command, in the order of the help.
var commands = []command{
	{"init", newInit},
	{"join", newJoin},
	{"token", newToken},
	{"daemon", newDaemon},
	{"agent-web", newAgentWeb},
	{"status", newStatus},
	{"explain", newExplain},
	{"events", newEvents},
	{"config", newConfig},
	{"plan", newPlan},
	{"apply", newApply},
	{"simulate", newSimulate},
	{"import", newImport},
	{"node", newNode},
	{"resource", newResource},
	{"fence", newFence},
	{"quorum", newQuorum},
	{"ticket", newTicket},
	{"lab", newLab},
	{"demo", newDemo},
	{"sim", newSim},
	{"version", newVersion},
}
