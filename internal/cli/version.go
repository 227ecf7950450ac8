package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// Version is the release that this binary was built from.
var Version = "0.1.0"

func newVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this binary",
		Example: "  ha version --json",
		Args:    cobra.NoArgs,
	}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]string{"version": Version, "os": runtime.GOOS, "arch": runtime.GOARCH, "go": runtime.Version()})
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "ha %s %s/%s\n", Version, runtime.GOOS, runtime.GOARCH)
		return err
	}
	return cmd
}
