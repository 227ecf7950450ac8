package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"linuxha/internal/cluster"
	"linuxha/internal/config"
)

// The reference pages are made from the code: a page that differs fails, and
// -update writes it anew.
func TestReference(t *testing.T) {
	for name, text := range map[string]string{
		"commands.md":      commandReference(),
		"configuration.md": config.Reference(),
		"agents.md":        agentReference(),
	} {
		golden(t, filepath.Join("..", "..", "..", "docs", "reference", name), text)
	}
}

// Every command has a one-line description, and every one that does something
// an example.
func TestHelpIsComplete(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.Hidden || c.Name() == "help" || strings.HasPrefix(c.CommandPath(), "ha completion") {
			return
		}
		if c.Short == "" {
			t.Errorf("%s has no description", c.CommandPath())
		}
		if c.Runnable() && c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
	}
	walk(newRoot())
}

func commandReference() string {
	var b strings.Builder
	b.WriteString("# Commands\n\nMade from the program's own help by `go test ./internal/cli -run Reference -update`.\n\n" +
		"Exit codes: 0 done; 1 understood, but not done; 2 wrong command line or input, nothing was changed.\n")
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			return
		}
		if c.Runnable() {
			fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n    %s\n", c.CommandPath(), c.Short, c.UseLine())
			if c.Long != "" {
				fmt.Fprintf(&b, "\n%s\n", c.Long)
			}
			if flags := c.LocalNonPersistentFlags().FlagUsagesWrapped(110); flags != "" {
				fmt.Fprintf(&b, "\n```\n%s```\n", flags)
			}
			if c.Example != "" {
				fmt.Fprintf(&b, "\n```sh\n%s\n```\n", outdent(c.Example))
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	root := newRoot()
	root.InitDefaultHelpFlag()
	walk(root)
	fmt.Fprintf(&b, "\n## Flags of every command\n\n```\n%s```\n", strings.ReplaceAll(root.PersistentFlags().FlagUsages(), os.Getenv("HA_ROOT")+`"`, `"`))
	return b.String()
}

func outdent(s string) string {
	var lines []string
	for _, l := range strings.Split(s, "\n") {
		lines = append(lines, strings.TrimPrefix(l, "  "))
	}
	return strings.Join(lines, "\n")
}

func agentReference() string {
	var b strings.Builder
	b.WriteString("# Built-in agents\n\nMade from the agents' own tables by `go test ./internal/cli -run Reference -update`.\n")
	for _, name := range cluster.BuiltinTypes() {
		m := cluster.Builtin(name)
		fmt.Fprintf(&b, "\n## %s\n\n%s. %s\n\n| parameter | type | default | meaning |\n|---|---|---|---|\n", m.Agent, m.Short, m.Long)
		for _, p := range m.Parameters {
			def := p.Default
			if p.Required {
				def = "(required)"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p.Name, p.Type, def, strings.TrimSpace(p.Short+". "+p.Long))
		}
	}
	return b.String()
}
