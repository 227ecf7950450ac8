package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// Version is the release that this binary was built from.
var Version = "0.1.0"

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ha %s %s/%s\n", Version, runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
