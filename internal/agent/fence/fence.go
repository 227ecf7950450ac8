// Package fence knows the interface of fence agents (FenceAgentAPI): which
// program, what it is told on its standard input, what its exit status means.
package fence

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"linuxha/internal/agent/spawn"
	"linuxha/internal/cluster"
)

// Path finds the program of a fence agent in dirs.
func Path(dirs []string, agent cluster.Agent) (string, error) {
	if !strings.HasPrefix(agent.Type, "fence_") || strings.ContainsAny(agent.Type, "/\x00") {
		return "", fmt.Errorf("%q is no name of a fence agent: they begin with fence_", agent.Type)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, agent.Type)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("fence agent %s is not installed: it is not in %s", agent.Type, strings.Join(dirs, ":"))
}

// Action returns what the agent is asked for when the cluster wants action: the
// device's own word for it, and "off" for a "reboot" that the agent lacks
// (devices that cut a network or storage path). metadata may be nil.
func Action(device *cluster.FenceDevice, metadata *cluster.AgentMetadata, action string) string {
	if alias := device.Alias(action); alias != action {
		return alias
	}
	if action == "reboot" && metadata != nil && metadata.Action("reboot") == nil && metadata.Action("off") != nil {
		return "off"
	}
	return action
}

// Input returns the standard input for an agent: one key=value a line. target is
// the node concerned, "" for actions on the device itself (monitor, list). The
// parameters are resolved (no File); metadata may be nil.
func Input(device *cluster.FenceDevice, metadata *cluster.AgentMetadata, action, target string, params []cluster.NVPair) ([]byte, error) {
	var b bytes.Buffer
	write := func(name, value string) error {
		if name == "" || strings.ContainsAny(name, "=\n\r\x00# ") || strings.ContainsAny(value, "\n\r\x00") {
			return fmt.Errorf("parameter %q cannot be passed to a fence agent: neither name nor value may hold a line end", name)
		}
		fmt.Fprintf(&b, "%s=%s\n", name, value)
		return nil
	}
	if err := write("action", Action(device, metadata, action)); err != nil {
		return nil, err
	}
	plug := ""
	if target != "" {
		if err := write("nodename", target); err != nil {
			return nil, err
		}
		if plug = plugParameter(device, metadata); plug != "" && !fixed(params, plug) {
			if err := write(plug, device.Plug(target)); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range params {
		if managed(p.Name) || p.Name == plug && !fixed(params, plug) {
			continue
		}
		if err := write(p.Name, p.Value); err != nil {
			return nil, err
		}
	}
	if b.Len() > spawn.MaxStdin {
		return nil, fmt.Errorf("the parameters have %d bytes together, at most %d can be passed", b.Len(), spawn.MaxStdin)
	}
	return b.Bytes(), nil
}

// plugParameter is the name of the agent's parameter for the plug, "" for none.
func plugParameter(device *cluster.FenceDevice, metadata *cluster.AgentMetadata) string {
	switch {
	case device.Argument == "none":
		return ""
	case device.Argument != "":
		return device.Argument
	case metadata == nil:
		return "port"
	case metadata.Parameter("plug") != nil:
		return "plug"
	case metadata.Parameter("port") != nil:
		return "port"
	}
	return ""
}

// fixed tells whether the device's own parameters give name a value for good.
func fixed(params []cluster.NVPair, name string) bool {
	value := ""
	for _, p := range params {
		if p.Name == name {
			value = p.Value
		}
	}
	return value != "" && value != "dynamic"
}

// managed tells whether a parameter is the cluster's, not the agent's.
func managed(name string) bool {
	return strings.HasPrefix(name, "pcmk_") || strings.HasPrefix(name, "CRM_meta_") ||
		name == "stonith-timeout" || name == "crm_feature_set" || name == "provides" || name == "action" || name == "nodename"
}

// Answer turns an exit status into success and, for status, the power state
// ("on", "off").
func Answer(action string, status int) (ok bool, power string) {
	switch {
	case action == "status" && status == 0:
		return true, "on"
	case action == "status" && status == 2:
		return true, "off"
	}
	return status == 0, ""
}

// Meaning explains an exit status of the agents' common library.
func Meaning(status int) string {
	switch status {
	case 1:
		return "the device could not do it, or could not confirm it"
	case 2:
		return "the agent was called with bad arguments"
	case 3:
		return "the device refused the login"
	case 4:
		return "the connection to the device was lost"
	case 5:
		return "the device timed out"
	case 6:
		return "the power did not come on in time"
	case 7:
		return "the power did not go off in time"
	case 8:
		return "the device did not tell its status"
	case 10:
		return "no password was given"
	case 11:
		return "the login lacks privileges"
	}
	return fmt.Sprintf("the agent exited with status %d", status)
}

// Scrub removes the values of params from what an agent printed, so that no
// secret reaches a log; short values are left, since they are no secrets and
// would tear words apart.
func Scrub(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, "********")
		}
	}
	return text
}

// Secrets are the values that must never be shown: those from files, and those
// of parameters that are named like a password.
func Secrets(configured, resolved []cluster.NVPair) []string {
	var secrets []string
	for i, p := range configured {
		name := strings.ToLower(p.Name)
		if p.File != "" || strings.Contains(name, "pass") || strings.Contains(name, "secret") || strings.Contains(name, "token") || strings.Contains(name, "key") {
			secrets = append(secrets, resolved[i].Value)
		}
	}
	return secrets
}
