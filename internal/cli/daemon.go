package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"linuxha/internal/daemon"
)

func newDaemon() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "Run this node (systemd does it)",
		Long: `Run this node in the foreground until it has left the cluster.

SIGTERM: the node leaves; what it runs is stopped or moves away first.
SIGHUP: the daemon starts itself anew (from a new binary, if there is one) while
services go on. SIGTERM a second time, or SIGKILL: it ends at once, services go on.`,
		Example: "  ha daemon",
		Args:    cobra.NoArgs,
	}
	verbose := cmd.Flags().Bool("verbose", false, "log details")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return runDaemon(cmd.ErrOrStderr(), *verbose)
	}
	return cmd
}

func runDaemon(out io.Writer, verbose bool) error {
	log := slog.New(newLogHandler(out, verbose))
	d, err := daemon.New(daemon.Options{
		Root: daemon.Root(rootDir), Version: Version, Log: log,
		Ready: func() { notify(log, sd.SdNotifyReady) },
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { ended <- d.Run(ctx) }()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	restart, asked := false, false
	for {
		select {
		case s := <-signals:
			if asked {
				log.Warn("asked again: the daemon ends at once, services go on")
				cancel()
				continue
			}
			asked, restart = true, s == syscall.SIGHUP
			if restart {
				notify(log, sd.SdNotifyReloading)
			} else {
				notify(log, sd.SdNotifyStopping)
			}
			d.Stop(restart)
		case err := <-ended:
			if err != nil || !restart {
				return err
			}
			return again()
		}
	}
}

// again runs the binary anew in this process, so that whoever watches over the
// daemon sees no end of it.
func again() error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start anew: %w", err)
	}
	return fmt.Errorf("start anew: %w", syscall.Exec(program, os.Args, os.Environ()))
}

// notify tells systemd, where it is there.
func notify(log *slog.Logger, state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		log.Warn("systemd was not told", "state", state, "error", err)
	}
}
