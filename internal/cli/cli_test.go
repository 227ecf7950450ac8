package cli

import (
	"errors"
	"strings"
	"testing"
)

// TestWrongCommandLines wants each to be refused with what is wrong and what to type.
func TestCommandsAreBuiltByTheirNames(t *testing.T) {
	for _, c := range commands {
		if name := c.build().Name(); name != c.name {
			t.Errorf("%s builds the command %s", c.name, name)
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		"statsu":                    "did you mean 'ha status'?",
		"foo bar":                   "there is no command 'ha foo'; there are apply,",
		"node drain":                "there is no command 'ha node drain'; there are maintenance,",
		"node standy":               "did you mean 'ha node standby'?",
		"--root /tmp/x node standy": "did you mean 'ha node standby'?",
		"lab --name x upp":          "did you mean 'ha lab up'?",
		"explain":                   "something is missing: type 'ha explain RESOURCE'; see 'ha explain --help'",
		"node standby a b":          "2 arguments do not fit: type 'ha node standby NODE'",
		"events foo":                `'ha events' takes no arguments, and "foo" is one`,
		"events --last x":           `--last wants a whole number, not "x"`,
		"token --valid x":           `--valid wants a duration such as 30s, not "x"`,
		"status --colour":           "unknown flag: --colour; see 'ha status --help'",
	} {
		args := strings.Fields(line)
		root := newRoot(args...)
		root.SetArgs(args)
		err := unknownCommand(root, args)
		if err == nil {
			err = root.Execute()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ha %s: %v; want %s", line, err, want)
		}
		if e, ok := errors.AsType[*ExitError](err); !ok || e.Code != ExitUsage {
			t.Errorf("ha %s: %v is no error of usage", line, err)
		}
	}
	for _, line := range []string{"", "--help", "node", "node --help", "help node", "help", "lab --name x", "__complete node s", "version", "--root /tmp/x version --json"} {
		args := strings.Fields(line)
		if err := unknownCommand(newRoot(args...), args); err != nil {
			t.Errorf("ha %s: %v", line, err)
		}
	}
}
