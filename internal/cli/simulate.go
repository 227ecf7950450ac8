package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler"
	"linuxha/internal/scheduler/drawing"
	"linuxha/internal/scheduler/rehearsal"
)

func newSimulate() *cobra.Command {
	o := &simulateOptions{}
	cmd := &cobra.Command{
		Use:   "simulate FILE",
		Short: "Show what the cluster would do in a recorded situation",
		Long: "Show what the cluster would do, and why, in a situation that a file describes: a Pacemaker CIB (XML), or a configuration with the\n" +
			"status that --status names (without one, all nodes are up and nothing runs). Every action is pretended to succeed. Nothing is changed.",
		Example: "  ha simulate cib.xml\n" +
			"  ha simulate --fail alpha --op db_monitor_10s@beta=1 cib.xml\n" +
			"  ha simulate --svg cluster.hcl > plan.svg\n" +
			"  ha simulate --format judge --at 2026-07-01T12:00:00Z cib.xml",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.at, "at", "", "the moment to pretend it is (RFC 3339; default: the one recorded in the file, else now)")
	f.StringVar(&o.status, "status", "", "file with the status (JSON) that goes with a configuration")
	f.StringArrayVar(&o.fail, "fail", nil, "let this cluster node be lost first (may be repeated)")
	f.StringArrayVar(&o.ops, "op", nil, "let this operation result come in first: RESOURCE_OPERATION_INTERVAL@NODE=RC (may be repeated)")
	f.StringArrayVar(&o.failing, "op-fail", nil, "let this operation of the plan have that result: RESOURCE_OPERATION_INTERVAL@NODE=RC (may be repeated)")
	f.StringVar(&o.format, "format", "text", "text, or judge: neutral JSON for comparing schedulers")
	f.BoolVar(&o.json, "json", false, "print JSON for programs")
	f.BoolVar(&o.scores, "scores", false, "show placement and promotion scores")
	f.BoolVar(&o.steps, "steps", false, "show every step, in an order in which they can be done")
	f.BoolVar(&o.dot, "dot", false, "print the action graph for graphviz")
	f.BoolVar(&o.svg, "svg", false, "print the action graph as an SVG picture")
	cmd.MarkFlagsMutuallyExclusive("json", "dot", "svg", "format")
	return cmd
}

type simulateOptions struct {
	at, status, format            string
	fail, ops, failing            []string
	json, scores, steps, dot, svg bool
}

// simulation is one situation, the plan for it, and what comes out.
type simulation struct {
	At       time.Time              `json:"at"`
	Warnings []string               `json:"warnings,omitempty"`
	Plan     *cluster.Plan          `json:"plan"`
	Moves    []api.PlanMove         `json:"moves"`
	Failed   []int                  `json:"failed,omitempty"` // ids of actions that --op-fail let fail
	Left     []int                  `json:"left,omitempty"`   // ids of actions that wait for those
	After    *scheduler.Observation `json:"after"`

	config *cluster.Config
	status *cluster.Status
}

func (o *simulateOptions) run(stdout, stderr io.Writer, file string) error {
	out := bufio.NewWriter(stdout)
	defer out.Flush()
	s, err := o.situation(file)
	if err != nil {
		return err
	}
	if o.format == "judge" {
		return rehearsal.WriteJudge(out, s.config, s.status, s.At)
	}
	if o.format != "text" {
		return usage("--format can be text or judge, not %q", o.format)
	}
	if err := o.simulate(s); err != nil {
		return fmt.Errorf("simulate %s: %w", file, err)
	}
	switch {
	case o.dot:
		fmt.Fprint(out, drawing.DOT(s.Plan))
	case o.svg:
		fmt.Fprint(out, drawing.SVG(s.Plan))
	case o.json:
		return printJSON(out, s)
	default:
		for _, w := range s.Warnings {
			fmt.Fprintln(stderr, "warning:", w)
		}
		o.print(out, styleOf(stdout), s)
	}
	return nil
}

// situation reads the file and lets happen what the flags say.
func (o *simulateOptions) situation(file string) (*simulation, error) {
	s := &simulation{At: time.Now().UTC().Truncate(time.Second)}
	if err := o.read(s, file); err != nil {
		return nil, err
	}
	if !s.status.ExecutionDate.IsZero() {
		s.At = s.status.ExecutionDate
	}
	if o.at != "" {
		at, err := time.Parse(time.RFC3339, o.at)
		if err != nil {
			return nil, usage("--at %q is no time like 2026-07-01T12:00:00Z", o.at)
		}
		s.At = at
	}
	for _, name := range o.fail {
		status, err := rehearsal.FailNode(s.config, s.status, name)
		if err != nil {
			return nil, usage("--fail: %w", err)
		}
		s.status = status
	}
	for _, text := range o.ops {
		r, err := rehearsal.ParseResult(text)
		if err != nil {
			return nil, usage("--op: %w", err)
		}
		if s.status, err = rehearsal.AddResult(s.config, s.status, r, s.At); err != nil {
			return nil, usage("--op %s: %w", text, err)
		}
	}
	return s, nil
}

func (o *simulateOptions) read(s *simulation, file string) error {
	if isCIB, data, err := readCIB(file); err != nil {
		return err
	} else if isCIB {
		if o.status != "" {
			return usage("--status goes with a configuration; %s has its status inside", file)
		}
		cib, err := pacemaker.Parse(data, pacemaker.Options{Lenient: true})
		if err != nil {
			return usage("read %s: %w", file, err)
		}
		s.config, s.status = &cib.Config, &cib.Status
		for _, w := range cib.Warnings {
			s.Warnings = append(s.Warnings, file+":"+w.String())
		}
		return nil
	}
	cfg, err := readConfig(file)
	if err != nil {
		return err
	}
	s.config = cfg
	if o.status == "" {
		s.status = freshStatus(cfg)
		return nil
	}
	data, err := os.ReadFile(o.status)
	if err != nil {
		return usage("read status: %w", err)
	}
	s.status = &cluster.Status{}
	if err := json.Unmarshal(data, s.status); err != nil {
		return usage("read status from %s: %w", o.status, err)
	}
	return nil
}

// readCIB reads a file if it is XML, which cannot be mistaken for a
// configuration.
func readCIB(file string) (isCIB bool, data []byte, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return false, nil, usage("%w", err)
	}
	if info.IsDir() || strings.HasSuffix(file, ".hcl") || strings.HasSuffix(file, ".json") {
		return false, nil, nil
	}
	if info.Size() > pacemaker.MaxSize {
		return false, nil, usage("%s is larger than %d MiB", file, pacemaker.MaxSize>>20)
	}
	if data, err = os.ReadFile(file); err != nil {
		return false, nil, fmt.Errorf("read %s: %w", file, err)
	}
	head := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	return len(head) == 0 || head[0] == '<', data, nil
}

// freshStatus is a cluster of all configured nodes, up, with nothing known to run.
func freshStatus(cfg *cluster.Config) *cluster.Status {
	s := &cluster.Status{Quorate: true, FencingUsable: true}
	for _, n := range cfg.Nodes {
		if n.Kind == cluster.NodeCluster && !n.Witness {
			s.Nodes = append(s.Nodes, cluster.NodeStatus{ID: n.ID, Name: n.Name,
				InCCM: "true", Crmd: "online", Join: "member", Expected: "member"})
		}
	}
	return s
}

func (o *simulateOptions) simulate(s *simulation) error {
	var results []rehearsal.Result
	for _, text := range o.failing {
		r, err := rehearsal.ParseResult(text)
		if err != nil {
			return usage("--op-fail: %w", err)
		}
		results = append(results, r)
	}
	plan, err := scheduler.Schedule(s.config, s.status, s.At, scheduler.Options{Scores: o.scores, Reasons: true})
	if err != nil {
		return err
	}
	s.Plan = plan
	s.Warnings = append(s.Warnings, plan.Warnings...)
	s.Moves = api.NewPlan(&cluster.State{Config: *s.config}, s.config, plan).Moves
	after := rehearsal.Run(s.status, plan, s.At, results)
	s.Failed, s.Left = after.Failed, after.Left
	s.After = scheduler.Observe(s.config, after.Status, s.At)
	return nil
}
