package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"linuxha/internal/cluster"
	"linuxha/internal/config"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show and check configurations"}
	cmd.AddCommand(newConfigShow(), newConfigCheck())
	return cmd
}

func newConfigShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the running configuration",
		Example: `  ha config show > cluster.hcl      keep it in version control
  ha apply cluster.hcl              applies back without a change`,
		Args: cobra.NoArgs,
	}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v, err := client().Config(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), v)
		}
		_, err = cmd.OutOrStdout().Write(config.Format(&v.Config))
		return err
	}
	return cmd
}

func newConfigCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check FILE",
		Short:   "Check a configuration file or directory without a cluster",
		Example: "  ha config check cluster.hcl",
		Args:    cobra.ExactArgs(1),
	}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, warnings, err := readConfig(args[0])
		if *asJSON {
			errs := config.Errors(err)
			if err != nil && errs == nil {
				return err
			}
			if printErr := printJSON(cmd.OutOrStdout(), map[string]any{"ok": err == nil, "errors": errs, "warnings": warnings}); printErr != nil {
				return printErr
			}
		}
		if err != nil {
			return err
		}
		if !*asJSON {
			fmt.Fprintf(cmd.OutOrStdout(), "%s is good: %d resources, %d constraints\n", args[0], countPrimitives(cfg.Resources),
				len(cfg.Locations)+len(cfg.Colocations)+len(cfg.Orders)+len(cfg.TicketRules))
			printWarnings(cmd.ErrOrStderr(), warnings)
		}
		return nil
	}
	return cmd
}

func countPrimitives(rs []cluster.Resource) int {
	n := 0
	for i := range rs {
		if rs[i].Kind == cluster.Primitive {
			n++
		}
		n += countPrimitives(rs[i].Children)
	}
	return n
}

// printWarnings says what was accepted and does not do what one may think.
func printWarnings(stderr io.Writer, warnings []*config.Error) {
	for _, w := range warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
}

// readConfig reads a file or directory; what is wrong with it is a usage error. The
// warnings are of what is accepted and does not do what it says.
func readConfig(path string) (*cluster.Config, []*config.Error, error) {
	sources, err := loadConfig(path)
	if err != nil {
		return nil, nil, &ExitError{Code: ExitUsage, Err: err}
	}
	cfg, warnings, err := config.Check(sources...)
	if err != nil {
		n := len(config.Errors(err))
		return nil, nil, &ExitError{Code: ExitUsage, Err: fmt.Errorf("%s cannot be used (%d wrong), nothing was changed\n%w", path, n, err)}
	}
	return cfg, warnings, nil
}
