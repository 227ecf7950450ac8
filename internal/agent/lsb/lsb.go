// Package lsb knows the interface of init scripts (LSB 5.0, "Init Script Actions").
package lsb

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"linuxha/internal/agent/spawn"
	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// Path returns the script; the error says why there is none.
func Path(root string, agent cluster.Agent) (string, error) {
	name := agent.Type
	if name == "" || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("agent %s: %q is no name of a script", agent, name)
	}
	path := filepath.Join(root, name)
	if err := spawn.CheckProgram(path); err != nil {
		return "", fmt.Errorf("agent %s is not installed: %w", agent, err)
	}
	return path, nil
}

// Action returns what a script is asked for; ok is false for actions that
// scripts do not have.
func Action(action string) (argument string, ok bool) {
	switch action {
	case "start", "stop":
		return action, true
	case "monitor":
		return "status", true
	case "reload", "reload-agent":
		return "reload", true
	}
	return "", false
}

// Code turns the script's exit status into an OCF result code.
func Code(action string, status int) int {
	if action == "monitor" {
		switch status {
		case 0:
			return event.CodeOK
		case 1, 2, 3: // dead with or without pid and lock files; not running
			return event.CodeNotRunning
		case 150: // the distributions' own
			return event.CodeNotInstalled
		case 151:
			return event.CodePermission
		}
		return event.CodeError
	}
	if status == 7 && action == "stop" {
		return event.CodeOK // it was not running
	}
	if status < 0 || status > 7 {
		return event.CodeError
	}
	return status
}

// Metadata reads the header comment of a script ("### BEGIN INIT INFO").
func Metadata(agent cluster.Agent, script []byte) *cluster.AgentMetadata {
	m := &cluster.AgentMetadata{Agent: agent, Actions: actions}
	inside, long := false, false
	for line := range strings.Lines(string(script)) {
		line = strings.TrimRight(strings.ToValidUTF8(line, "\uFFFD"), "\r\n")
		switch {
		case strings.HasPrefix(line, "### BEGIN INIT INFO"):
			inside = true
			continue
		case strings.HasPrefix(line, "### END INIT INFO"):
			return m
		case !inside:
			continue
		}
		body := strings.TrimPrefix(line, "#")
		name, value, found := strings.Cut(body, ":")
		switch strings.TrimSpace(name) {
		case "Short-Description":
			if found {
				m.Short, long = strings.TrimSpace(value), false
			}
		case "Description":
			if found {
				m.Long, long = strings.TrimSpace(value), true
			}
		default:
			// A continued description begins with a tab or two blanks.
			if long && (strings.HasPrefix(body, "\t") || strings.HasPrefix(body, "  ")) {
				m.Long += " " + strings.TrimSpace(body)
			} else {
				long = false
			}
		}
	}
	return m
}

// actions are the same for every script, as Pacemaker advises them.
var actions = []cluster.AdvisedAction{
	{Name: "start", Timeout: 15 * time.Second},
	{Name: "stop", Timeout: 15 * time.Second},
	{Name: "monitor", Timeout: 15 * time.Second, Interval: 15 * time.Second},
	{Name: "reload", Timeout: 15 * time.Second},
	{Name: "meta-data", Timeout: 5 * time.Second},
}
