package cli

import (
	"bufio"
	"context"
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
		Use:   "simulate [FILE]",
		Short: "Show what the cluster would do in a recorded or imagined situation",
		Long: "Show what the cluster would do, and why. The situation is that of this cluster now, or what a file describes: a Pacemaker CIB (XML), a\n" +
			"situation that --save wrote, or a configuration (HCL) with the status that --status names (without one, all nodes are up and nothing\n" +
			"runs). Every action is pretended to succeed. Nothing is changed.",
		Example: "  ha simulate --fail alpha\n" +
			"  ha simulate --fail alpha --op db_monitor_10s@beta=1 cib.xml\n" +
			"  ha simulate --save now.json; ha simulate --status now.json new.hcl\n" +
			"  ha simulate --svg cluster.hcl > plan.svg\n" +
			"  ha simulate --format judge --at 2026-07-01T12:00:00Z cib.xml",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) > 0 {
				file = args[0]
			}
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), file)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.at, "at", "", "the moment to pretend it is (RFC 3339; default: the one recorded in the file, else now)")
	f.StringVar(&o.status, "status", "", "situation that --save wrote, whose status goes with a configuration")
	f.StringVar(&o.save, "save", "", "write this cluster's situation to a file, and do nothing else")
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
	at, status, format, save      string
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

func (o *simulateOptions) run(ctx context.Context, stdout, stderr io.Writer, file string) error {
	out := bufio.NewWriter(stdout)
	defer out.Flush()
	if o.save != "" {
		if file != "" {
			return usage("--save writes this cluster's situation; it goes with no FILE")
		}
		return saveSituation(ctx, o.save)
	}
	s, err := o.situation(ctx, file)
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
		return fmt.Errorf("simulate: %w", err)
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
func (o *simulateOptions) situation(ctx context.Context, file string) (*simulation, error) {
	s := &simulation{At: time.Now().UTC().Truncate(time.Second)}
	if err := o.read(ctx, s, file); err != nil {
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
		status, err := rehearsal.FailNode(s.status, name)
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

func (o *simulateOptions) read(ctx context.Context, s *simulation, file string) error {
	if file == "" {
		state, err := client().State(ctx)
		if err != nil {
			return err
		}
		s.of(state)
		return nil
	}
	isCIB, text, err := readCIB(file)
	switch {
	case err != nil:
		return err
	case isCIB:
		return o.readCluster(s, file, text)
	case strings.HasSuffix(file, ".json") && !strings.HasSuffix(file, ".hcl.json"):
		state, err := readSituation(file)
		if err != nil {
			return err
		}
		s.of(state)
		return nil
	}
	cfg, warnings, err := readConfig(file)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		s.Warnings = append(s.Warnings, w.Error())
	}
	s.config, s.status = cfg.ActedOn(), freshStatus(cfg)
	if o.status != "" {
		state, err := readSituation(o.status)
		if err != nil {
			return err
		}
		state.Config = *cfg
		s.of(state)
	}
	return nil
}

// readCluster takes a CIB, with what is wrong with it as warnings.
func (o *simulateOptions) readCluster(s *simulation, file, text string) error {
	if o.status != "" {
		return usage("--status goes with a configuration; %s has its status inside", file)
	}
	cib, err := pacemaker.Parse(text, pacemaker.Options{Lenient: true})
	if err != nil {
		return usage("read %s: %w", file, err)
	}
	s.config, s.status = &cib.Config, &cib.Status
	for _, w := range cib.Warnings {
		s.Warnings = append(s.Warnings, file+":"+w.String())
	}
	return nil
}

// of takes the situation of a replicated state, as its leader sees it.
func (s *simulation) of(state *cluster.State) {
	s.config, s.status = state.SchedulerConfig(), state.Status(s.At)
	s.status.Quorate = true
}

func saveSituation(ctx context.Context, file string) error {
	state, err := client().State(ctx)
	if err != nil {
		return err
	}
	state.Tokens = nil // secrets
	text, err := json.MarshalIndent(state, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("save situation: %w", err)
	}
	fmt.Fprintf(os.Stderr, "the situation of %s is in %s\n", state.Config.Name, file)
	return nil
}

func readSituation(file string) (*cluster.State, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, usage("read situation: %w", err)
	}
	defer f.Close()
	state := &cluster.State{}
	d := json.NewDecoder(io.LimitReader(f, pacemaker.MaxSize))
	d.DisallowUnknownFields()
	if err := d.Decode(state); err != nil {
		return nil, usage("read situation from %s: %w", file, err)
	}
	return state, nil
}

// readCIB reads a file if it is XML, which cannot be mistaken for a
// configuration.
func readCIB(file string) (isCIB bool, text string, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return false, "", usage("read situation: %w", err)
	}
	if info.IsDir() || strings.HasSuffix(file, ".hcl") || strings.HasSuffix(file, ".json") {
		return false, "", nil
	}
	if info.Size() > pacemaker.MaxSize {
		return false, "", usage("%s is larger than %d MiB", file, pacemaker.MaxSize>>20)
	}
	f, err := os.Open(file)
	if err == nil {
		defer f.Close()
		text, err = readBounded(f, pacemaker.MaxSize)
	}
	if err != nil {
		return false, "", fmt.Errorf("read %s: %w", file, err)
	}
	head := strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	return head == "" || head[0] == '<', text, nil
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
	plan, observer, err := scheduler.Decide(s.config, s.status, s.At, scheduler.Options{Scores: o.scores, Reasons: true})
	if err != nil {
		return err
	}
	s.Plan = plan
	s.Warnings = append(s.Warnings, plan.Warnings...)
	s.Moves = api.NewPlan(&cluster.State{Config: *s.config}, s.config, plan).Moves
	after := rehearsal.Run(s.status, plan, s.At, results)
	s.Failed, s.Left = after.Failed, after.Left
	s.After = observer.Observe(after.Status)
	return nil
}
