// Package ocf knows the interface of OCF resource agents: which program, which
// environment, what its exit code and output mean.
package ocf

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"linuxha/internal/agent/spawn"
	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// featureSet is Pacemaker's crm_feature_set that agents may ask for: from 3.10
// on they use crm_attribute with --promotion instead of crm_master.
const featureSet = "3.20.5"

// reasonPrefix begins a line of output that is meant for people.
const reasonPrefix = "ocf-exit-reason:"

// Host is what agents learn of the node.
type Host struct {
	Root string // OCF_ROOT
	Node string // the node's name
	// Environ is the environment that agents inherit, without what is set here.
	Environ []string
	// Syslog tells agents to log there, instead of to their output.
	Syslog bool
}

// Path returns the agent's program; the error says why there is none.
func Path(root string, agent cluster.Agent) (string, error) {
	for _, part := range []string{agent.Provider, agent.Type} {
		if part == "" || strings.HasPrefix(part, ".") || strings.ContainsAny(part, "/\x00") {
			return "", fmt.Errorf("agent %s: %q is no name of a provider or type", agent, part)
		}
	}
	path := filepath.Join(root, "resource.d", agent.Provider, agent.Type)
	if err := spawn.CheckProgram(path); err != nil {
		return "", fmt.Errorf("agent %s is not installed: %w", agent, err)
	}
	return path, nil
}

// Environment returns the environment for an operation, whose parameters are
// resolved (no File).
func Environment(h Host, op event.Operation) ([]string, error) {
	env := make([]string, 0, len(h.Environ)+len(op.Params)+len(op.Meta)+24)
	for _, pair := range h.Environ {
		if !managed(pair) {
			env = append(env, pair)
		}
	}
	env = append(env,
		"OCF_ROOT="+h.Root,
		"OCF_RA_VERSION_MAJOR=1",
		"OCF_RA_VERSION_MINOR=1",
		"OCF_RESOURCE_INSTANCE="+op.Name,
		"OCF_RESOURCE_TYPE="+op.Agent.Type,
		"OCF_RESOURCE_PROVIDER="+op.Agent.Provider,
		"OCF_EXIT_REASON_PREFIX="+reasonPrefix,
		"OCF_OUTPUT_FORMAT=text",
		"OCF_RESKEY_crm_feature_set="+featureSet,
		"PCMK_service=pacemaker-execd",
	)
	if h.Syslog {
		env = append(env, "PCMK_LOGFACILITY=daemon", "HA_LOGFACILITY=daemon")
	}
	for _, p := range op.Params {
		if p.Name == "" || strings.ContainsAny(p.Name, "=\x00") || strings.Contains(p.Value, "\x00") {
			return nil, fmt.Errorf("parameter %q of %s cannot be passed to an agent", p.Name, op.Name)
		}
		env = append(env, "OCF_RESKEY_"+p.Name+"="+p.Value)
		if p.Name == "OCF_CHECK_LEVEL" {
			env = append(env, p.Name+"="+p.Value)
		}
	}
	for _, m := range meta(h, op) {
		name := strings.ReplaceAll(m.Name, "-", "_")
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(m.Value, "\x00") {
			return nil, fmt.Errorf("meta-attribute %q of %s cannot be passed to an agent", m.Name, op.Name)
		}
		env = append(env, "OCF_RESKEY_CRM_meta_"+name+"="+m.Value)
	}
	return env, nil
}

// meta completes an operation's meta-attributes with those that agents expect
// of every operation.
func meta(h Host, op event.Operation) []cluster.NVPair {
	all := slices.Clone(op.Meta)
	for _, m := range []cluster.NVPair{
		{Name: "timeout", Value: strconv.FormatInt(op.Timeout.Milliseconds(), 10)},
		{Name: "interval", Value: strconv.FormatInt(op.Interval.Milliseconds(), 10)},
		{Name: "name", Value: op.Action},
		{Name: "on_node", Value: h.Node},
		{Name: "on_node_uuid", Value: h.Node},
	} {
		same := func(given cluster.NVPair) bool { return strings.ReplaceAll(given.Name, "-", "_") == m.Name }
		if !slices.ContainsFunc(all, same) {
			all = append(all, m)
		}
	}
	return all
}

// managed tells whether a variable is one that the manager sets, or that is
// meant for the daemon alone.
func managed(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	switch name {
	case "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "MANAGERPID":
		return true
	}
	return strings.HasPrefix(name, "OCF_") && name != "OCF_TRACE_RA" && name != "OCF_TRACE_FILE"
}

// Output splits what an agent printed into its last exit reason and the rest.
func Output(text string) (reason, rest string) {
	var others strings.Builder
	for line := range strings.Lines(text) {
		if r, ok := strings.CutPrefix(line, reasonPrefix); ok {
			reason = strings.TrimSpace(r)
		} else {
			others.WriteString(line)
		}
	}
	return reason, strings.TrimSpace(others.String())
}
