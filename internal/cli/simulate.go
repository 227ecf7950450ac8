package cli

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler/rehearsal"
)

func newSimulate() *cobra.Command {
	o := &simulateOptions{}
	cmd := &cobra.Command{
		Use:   "simulate FILE",
		Short: "Show what the cluster would do in a recorded situation",
		Example: "  ha simulate --format judge cib.xml\n" +
			"  ha simulate --at 2026-07-01T12:00:00Z cib.xml",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.at, "at", "", "the moment to pretend it is (RFC 3339; default: the one recorded in the file, else now)")
	f.StringVar(&o.format, "format", "judge", "judge: neutral JSON for comparing schedulers")
	return cmd
}

type simulateOptions struct {
	at, format string
}

func (o *simulateOptions) run(file string) error {
	data, err := readCIB(file)
	if err != nil {
		return err
	}
	cib, err := pacemaker.Parse(data, pacemaker.Options{Lenient: true})
	if err != nil {
		return usage("read %s: %w", file, err)
	}
	now := time.Now()
	if !cib.Status.ExecutionDate.IsZero() {
		now = cib.Status.ExecutionDate
	}
	if o.at != "" {
		if now, err = time.Parse(time.RFC3339, o.at); err != nil {
			return usage("--at %q is no time like 2026-07-01T12:00:00Z", o.at)
		}
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	switch o.format {
	case "judge":
		return rehearsal.WriteJudge(out, &cib.Config, &cib.Status, now)
	}
	return usage("--format can be judge, not %q", o.format)
}

// readCIB reads a file that is no larger than an importer takes.
func readCIB(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, usage("%w", err)
	}
	if info.Size() > pacemaker.MaxSize {
		return nil, usage("%s is larger than %d MiB", file, pacemaker.MaxSize>>20)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return data, nil
}
