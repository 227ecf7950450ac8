package cli

import (
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"linuxha/internal/agent/web"
)

// newAgentWeb is the face under which the agent ha:web runs this binary.
func newAgentWeb() *cobra.Command {
	var o web.Options
	c := &cobra.Command{
		Use:    "agent-web",
		Short:  "Serve files or a text; run by the agent ha:web",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return web.Serve(ctx, o)
		},
	}
	c.Flags().StringVar(&o.Listen, "listen", ":80", "address and port")
	c.Flags().StringVar(&o.Directory, "directory", "", "directory to serve")
	c.Flags().StringVar(&o.Content, "content", "", "text to serve instead")
	return c
}
