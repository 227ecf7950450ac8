package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"linuxha/internal/cluster"
	"linuxha/internal/lab"
)

// labOptions are the flags that every lab command has.
type labOptions struct {
	name string
	json bool
}

func newLab() *cobra.Command {
	o := &labOptions{}
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Run real hosts on this one machine, and break them",
		Long: `A lab is a set of hosts on this one machine, each with its own network
interfaces, processes, directories, boot id and power switch. They are named
host1, host2, ... and have the addresses 10.77.LINK.N; the host "client" is on
the first link only. Nothing of a lab shows in the machine's own network.`,
		Example: `  ha lab up                          three hosts, two links, a cluster
  ha lab exec host1 -- ha status
  ha lab crash host1                 cut its power
  ha lab down                        leave nothing behind`,
	}
	cmd.PersistentFlags().StringVar(&o.name, "name", "lab", "the lab's name; several may stand side by side")
	cmd.PersistentFlags().BoolVar(&o.json, "json", false, "print JSON")
	cmd.AddCommand(
		newLabUp(o), newLabStatus(o), newLabExec(o), newLabCrash(o), newLabStart(o), newLabCut(o), newLabLoss(o),
		newLabHeal(o), newLabPause(o), newLabResume(o), newLabProbe(o), newLabBench(o), newLabChaos(o), newLabDown(o),
	)
	return cmd
}

func newLabUp(o *labOptions) *cobra.Command {
	spec := lab.Spec{}
	bare := false
	detection := "normal"
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Boot a lab's hosts and make a cluster of them",
		Example: `  ha lab up
  ha lab up --name big --nodes 5 --links 3 --detection fast
  ha lab up --watchdog               no fence device: hosts that are cut off reset themselves
  ha lab up --witness                a pair, and host3 that only votes
  ha lab up --bare                   hosts without a cluster`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			spec.Name = o.name
			if err := checkLab(spec, detection); err != nil {
				return err
			}
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program's file: %w", err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			begun := time.Now()
			l, err := lab.Up(ctx, spec, binary)
			if err != nil {
				return err
			}
			booted := time.Since(begun)
			if !bare {
				if err := l.Form(ctx, detection); err != nil {
					return errors.Join(err, l.Down(context.WithoutCancel(ctx)))
				}
			}
			status, err := l.Status()
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), status)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d hosts and a client stand after %v; their disks are below %s (%s)\n",
				spec.Nodes, booted.Round(time.Millisecond), status.Dir, status.Filesystem)
			if !bare {
				which := ""
				if o.name != cmd.Flag("name").DefValue {
					which = " --name " + o.name
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "they are a cluster after %v: 'ha lab%s exec host1 -- ha status' shows it\n", time.Since(begun).Round(time.Millisecond), which)
			}
			if status.Filesystem == "tmpfs" {
				fmt.Fprintln(cmd.ErrOrStderr(), "that is memory: set HA_LAB_DIR to a directory on a disk, else synced writes cost nothing here")
			}
			return printLabStatus(cmd.OutOrStdout(), status)
		},
	}
	setUpFlags(cmd, &spec)
	cmd.Flags().IntVar(&spec.Links, "links", 2, "how many links between them")
	cmd.Flags().StringVar(&detection, "detection", detection, "failure detection: extreme, fast, normal or patient")
	cmd.Flags().BoolVar(&bare, "bare", false, "only the hosts, no cluster")
	return cmd
}

// setUpFlags are those that say what cluster a lab is to have.
func setUpFlags(cmd *cobra.Command, spec *lab.Spec) {
	cmd.Flags().IntVar(&spec.Nodes, "nodes", 3, "how many hosts besides the client")
	cmd.Flags().BoolVar(&spec.Watchdog, "watchdog", false, "rely on the hosts' watchdogs instead of a fence device")
	cmd.Flags().BoolVar(&spec.Witness, "witness", false, "the last host votes and runs nothing")
}

// checkLab refuses a lab that cannot be made, before anything is.
func checkLab(spec lab.Spec, detection string) error {
	if err := spec.Validate(); err != nil {
		return &ExitError{ExitUsage, err}
	}
	if _, ok := cluster.Presets[detection]; !ok {
		return usage("--detection %q: want extreme, fast, normal or patient", detection)
	}
	return nil
}

func newLabStatus(o *labOptions) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show each host's power, addresses and cables",
		Example: "  ha lab status --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lab.Open(o.name)
			if err != nil {
				return err
			}
			status, err := l.Status()
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), status)
			}
			return printLabStatus(cmd.OutOrStdout(), status)
		},
	}
}

func printLabStatus(w io.Writer, status *lab.Status) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tPOWER\tBOOTS\tWATCHDOG\tADDRESSES\tCABLES")
	for _, h := range status.Hosts {
		cables := describeCables(h.Links)
		if h.Error != "" {
			cables = h.Error
		}
		dog := "-"
		if h.Watchdog > 0 {
			dog = h.Watchdog.String()
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", h.Name, h.State, h.Boots, dog, strings.Join(h.Addresses, " "), cables)
	}
	return table.Flush()
}

func describeCables(links []lab.LinkStatus) string {
	var parts []string
	for _, link := range links {
		var faults []string
		if link.Unplugged {
			faults = append(faults, "unplugged")
		}
		if link.Cut != "" {
			faults = append(faults, "cut "+link.Cut)
		}
		if link.LossIn > 0 || link.LossOut > 0 {
			faults = append(faults, fmt.Sprintf("loses %g%% in, %g%% out", link.LossIn, link.LossOut))
		}
		if len(link.DeafTo) > 0 {
			faults = append(faults, "does not hear "+strings.Join(link.DeafTo, ", "))
		}
		if len(faults) > 0 {
			parts = append(parts, fmt.Sprintf("link %d %s", link.Link, strings.Join(faults, ", ")))
		}
	}
	if len(parts) == 0 {
		return "whole"
	}
	return strings.Join(parts, "; ")
}

func newLabExec(o *labOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "exec HOST -- COMMAND...",
		Short: "Run a command on a host",
		Long:  "Run a command on a host, as root of that host. The exit code is the command's.",
		Example: `  ha lab exec host1 -- ip address
  ha lab exec host2 -- bash`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lab.Open(o.name)
			if err != nil {
				return err
			}
			if o.json {
				stdout, stderr, err := l.Output(cmd.Context(), args[0], args[1:]...)
				code := 0
				if exit, ok := errors.AsType[*lab.ExitError](err); ok {
					code = exit.Code
				} else if err != nil {
					return err
				}
				if err := printJSON(cmd.OutOrStdout(), map[string]any{"host": args[0], "stdout": stdout, "stderr": stderr, "exit_code": code}); err != nil {
					return err
				}
				return exitCode(err)
			}
			return exitCode(l.Interact(cmd.Context(), args[0], args[1:]))
		},
	}
}

// exitCode makes the exit code of a command on a host this program's own; what
// went wrong the command has said itself, unless a signal ended it.
func exitCode(err error) error {
	exit, ok := errors.AsType[*lab.ExitError](err)
	switch {
	case !ok:
		return err
	case exit.Signal != 0:
		return &ExitError{exit.Code, err}
	}
	return &ExitError{Code: exit.Code}
}

// labAction is a command that does one thing to the lab and says what it did.
func labAction(o *labOptions, cmd *cobra.Command, do func(l *lab.Lab, args []string) (done string, err error)) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := lab.Open(o.name)
		if err != nil {
			return err
		}
		begun := time.Now()
		done, err := do(l, args)
		if err != nil {
			return err
		}
		took := time.Since(begun)
		if o.json {
			return printJSON(cmd.OutOrStdout(), map[string]any{"done": done, "seconds": took.Seconds()})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s (%v)\n", done, took.Round(100*time.Microsecond))
		return err
	}
	return cmd
}

func newLabCrash(o *labOptions) *cobra.Command {
	return labAction(o, &cobra.Command{
		Use:     "crash HOST",
		Short:   "Cut a host's power; return when it is off for certain",
		Example: "  ha lab crash host1",
		Args:    cobra.ExactArgs(1),
	}, func(l *lab.Lab, args []string) (string, error) {
		return args[0] + " is off", l.Crash(args[0])
	})
}

func newLabStart(o *labOptions) *cobra.Command {
	return labAction(o, &cobra.Command{
		Use:     "start HOST",
		Short:   "Power a host on",
		Example: "  ha lab start host1",
		Args:    cobra.ExactArgs(1),
	}, func(l *lab.Lab, args []string) (string, error) {
		return args[0] + " is on", l.Start(args[0])
	})
}

func newLabPause(o *labOptions) *cobra.Command {
	return labAction(o, &cobra.Command{
		Use:     "pause HOST",
		Short:   "Stop all of a host's processes and silence its network",
		Example: "  ha lab pause host1",
		Args:    cobra.ExactArgs(1),
	}, func(l *lab.Lab, args []string) (string, error) {
		return args[0] + " is paused", l.Pause(args[0])
	})
}

func newLabResume(o *labOptions) *cobra.Command {
	return labAction(o, &cobra.Command{
		Use:     "resume HOST",
		Short:   "Let a paused host go on",
		Example: "  ha lab resume host1",
		Args:    cobra.ExactArgs(1),
	}, func(l *lab.Lab, args []string) (string, error) {
		return args[0] + " goes on", l.Resume(args[0])
	})
}

func newLabCut(o *labOptions) *cobra.Command {
	var c lab.Cut
	direction := string(lab.Both)
	cmd := labAction(o, &cobra.Command{
		Use:   "cut HOST",
		Short: "Lose what a host hears or says, on one link or on all",
		Example: `  ha lab cut host1 --link 1
  ha lab cut host1 --direction in    it hears nobody, all hear it
  ha lab cut host1 --peer host2      only between these two
  ha lab cut host1 --unplug          its interfaces lose their carrier too`,
		Args: cobra.ExactArgs(1),
	}, func(l *lab.Lab, args []string) (string, error) {
		c.Host, c.Direction = args[0], lab.Direction(direction)
		if c.Peer != "" && c.Unplug {
			return "", &ExitError{ExitUsage, errors.New("--unplug takes the whole cable: use it without --peer")}
		}
		which := "every link"
		if c.Link > 0 {
			which = "link " + strconv.Itoa(c.Link)
		}
		done := fmt.Sprintf("%s: %s cut %s", args[0], which, direction)
		if c.Peer != "" {
			done += " from " + c.Peer
		}
		return done, l.Cut(c)
	})
	cmd.Flags().IntVar(&c.Link, "link", 0, "the link, counted from 1 (default: every link)")
	cmd.Flags().StringVar(&direction, "direction", direction, "in, out or both, as the host sees it")
	cmd.Flags().StringVar(&c.Peer, "peer", "", "cut only what passes between the host and this one")
	cmd.Flags().BoolVar(&c.Unplug, "unplug", false, "take the carrier away too")
	return cmd
}

func newLabLoss(o *labOptions) *cobra.Command {
	link, direction := 0, string(lab.Both)
	cmd := labAction(o, &cobra.Command{
		Use:     "loss HOST PERCENT",
		Short:   "Make a host's links lose packets at random",
		Example: "  ha lab loss host1 20 --link 2",
		Args:    cobra.ExactArgs(2),
	}, func(l *lab.Lab, args []string) (string, error) {
		percent, err := strconv.ParseFloat(strings.TrimSuffix(args[1], "%"), 64)
		if err != nil {
			return "", &ExitError{ExitUsage, fmt.Errorf("percent %q: want a number from 0 to 100", args[1])}
		}
		return fmt.Sprintf("%s loses %g%% of its packets", args[0], percent), l.Loss(args[0], link, lab.Direction(direction), percent)
	})
	cmd.Flags().IntVar(&link, "link", 0, "the link, counted from 1 (default: every link)")
	cmd.Flags().StringVar(&direction, "direction", direction, "in, out or both, as the host sees it")
	return cmd
}

func newLabHeal(o *labOptions) *cobra.Command {
	return labAction(o, &cobra.Command{
		Use:     "heal [HOST]",
		Short:   "Mend all cuts and losses, of one host or of all",
		Example: "  ha lab heal",
		Args:    cobra.MaximumNArgs(1),
	}, func(l *lab.Lab, args []string) (string, error) {
		if len(args) == 0 {
			return "every cable is whole", l.Heal("")
		}
		return "the cables of " + args[0] + " are whole", l.Heal(args[0])
	})
}

func newLabProbe(o *labOptions) *cobra.Command {
	var udp, http bool
	var limit time.Duration
	from := lab.Client
	cmd := &cobra.Command{
		Use:   "probe ADDRESS:PORT",
		Short: "Measure the outage of a service as a client sees it",
		Long: fmt.Sprintf(`Ask a service again and again from the host "client": a new TCP connection,
or a datagram, every %v on schedule, each with its own time-out of %v. A gap is
the time between two consecutive successes. It runs until it is interrupted.`, lab.ProbeInterval, lab.ProbeTimeout),
		Example: `  ha lab probe 10.77.1.100:80
  ha lab probe 10.77.1.100:80 --http --for 10s --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := netip.ParseAddrPort(args[0])
			if err != nil {
				return &ExitError{ExitUsage, fmt.Errorf("target %q: want ADDRESS:PORT, such as 10.77.1.100:80", args[0])}
			}
			kind := lab.ProbeTCP
			switch {
			case udp && http:
				return &ExitError{ExitUsage, errors.New("use --udp or --http, not both")}
			case udp:
				kind = lab.ProbeUDP
			case http:
				kind = lab.ProbeHTTP
			}
			l, err := lab.Open(o.name)
			if err != nil {
				return err
			}
			p, err := l.StartProbe(cmd.Context(), from, target, kind, limit)
			if err != nil {
				return err
			}
			interrupt := make(chan os.Signal, 1)
			signal.Notify(interrupt, syscall.SIGINT, syscall.SIGTERM)
			defer signal.Stop(interrupt)
			go func() {
				<-interrupt
				p.Stop()
			}()
			result, err := p.Wait()
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), result)
			}
			return printProbe(cmd.OutOrStdout(), result)
		},
	}
	cmd.Flags().BoolVar(&udp, "udp", false, "send datagrams, and count answers")
	cmd.Flags().BoolVar(&http, "http", false, "count only requests that are answered with status 200")
	cmd.Flags().DurationVar(&limit, "for", 0, "how long (default: until interrupted)")
	cmd.Flags().StringVar(&from, "from", from, "the host that asks")
	return cmd
}

func printProbe(w io.Writer, r lab.ProbeResult) error {
	text := fmt.Sprintf("longest gap %.0f ms, which began %.1f s after the start; %d of %d attempts succeeded in %.1f s",
		r.LongestGap*1000, r.GapBegan, r.Succeeded, r.Sent, r.Duration)
	if r.LastError != "" {
		text += "\nlast error: " + r.LastError
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func newLabDown(o *labOptions) *cobra.Command {
	return labAction(o, &cobra.Command{
		Use:     "down",
		Short:   "End a lab and leave nothing behind",
		Example: "  ha lab down --name big",
		Args:    cobra.NoArgs,
	}, func(l *lab.Lab, _ []string) (string, error) {
		return "lab " + l.Spec.Name + " is gone", l.Down(context.Background())
	})
}
