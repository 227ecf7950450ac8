package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"linuxha/internal/api"
)

// formTimeout bounds each step of the forming of a cluster.
const formTimeout = 30 * time.Second

// Form makes one cluster of the lab's nodes, as an administrator would: init on
// the first, join on the others, and apply BaseConfig.
func (l *Lab) Form(ctx context.Context, detection string) error {
	first := NodeName(1)
	printed, err := l.ha(ctx, first, append([]string{"init", "--name", l.Spec.Name, "--detection", detection, "--daemon"}, l.linkFlags(1)...)...)
	if err != nil {
		return fmt.Errorf("make a cluster: %w", err)
	}
	join := joinCommand().FindStringSubmatch(printed)
	for n := 2; n <= l.Spec.Nodes; n++ {
		if n > 2 {
			if printed, err = l.ha(ctx, first, "token"); err != nil {
				return fmt.Errorf("get a token: %w", err)
			}
			join = joinCommand().FindStringSubmatch(printed)
		}
		if join == nil {
			return fmt.Errorf("no join command in what ha printed: %q", printed)
		}
		args := append([]string{"join", join[1], "--token", join[2], "--daemon"}, l.linkFlags(n)...)
		if _, err := l.ha(ctx, NodeName(n), args...); err != nil {
			return fmt.Errorf("join: %w", err)
		}
	}
	if err := l.Apply(ctx, l.BaseConfig(detection)); err != nil {
		return err
	}
	_, err = l.Await(ctx, formTimeout, "every node is online", func(s *api.Status) bool { return l.AllOnline(s) })
	return err
}

var joinCommand = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`ha join (\S+) --token (\S+)`)
})

func (l *Lab) linkFlags(n int) []string {
	var flags []string
	for link := 1; link <= l.Spec.Links; link++ {
		flags = append(flags, "--link", Address(n, link).String())
	}
	return flags
}

// ha runs the product on a host.
func (l *Lab) ha(ctx context.Context, host string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, formTimeout)
	defer cancel()
	stdout, stderr, err := l.Output(ctx, host, append([]string{"ha"}, args...)...)
	if err != nil {
		said := strings.TrimSpace(strings.TrimPrefix(stderr, "ha: "))
		if said == "" {
			return "", fmt.Errorf("%s: ha %s: %w", host, args[0], err)
		}
		return "", fmt.Errorf("%s: ha %s: %s", host, args[0], said)
	}
	return stdout, nil
}

// WatchdogTimeout is that of clusters with watchdogs: shorter than the default,
// since every failover waits for it.
const WatchdogTimeout = 2 * time.Second

// BaseConfig is a configuration without resources. Nodes are fenced by the lab's
// power control, or, if the lab is to rely on watchdogs, reset themselves.
func (l *Lab) BaseConfig(detection string) string {
	witness := ""
	if l.Spec.Witness {
		witness = fmt.Sprintf("\nnode %q { witness = true }\n", NodeName(l.Spec.Nodes))
	}
	if l.Spec.Watchdog {
		return fmt.Sprintf(`cluster %q {
  detection = %q
  watchdog  = { device = %q, timeout = %q }
}
%s`, l.Spec.Name, detection, hostWatchdog, WatchdogTimeout, witness)
	}
	var hosts []string
	for _, node := range l.Nodes() {
		hosts = append(hosts, strconv.Quote(node))
	}
	return fmt.Sprintf(`cluster %q {
  detection = %q
}

fence_device "power" {
  agent = %q
  hosts = [%s]
}
%s`, l.Spec.Name, detection, faceFence, strings.Join(hosts, ", "), witness)
}

// Apply makes the text the cluster's configuration.
func (l *Lab) Apply(ctx context.Context, text string) error {
	const path = "/tmp/cluster.hcl"
	var errs []error
	for _, node := range l.Nodes() { // the first that answers
		if err := os.WriteFile(l.HostDir(node, "tmp", "cluster.hcl"), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
		_, err := l.ha(ctx, node, "apply", "--yes", path)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("apply the configuration: %w", errors.Join(errs...))
}

// ClusterStatus is the cluster's status as a node with quorum sees it.
func (l *Lab) ClusterStatus(ctx context.Context) (*api.Status, error) {
	var errs []error
	for _, node := range l.Nodes() {
		text, err := l.statusOf(ctx, node)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		status := &api.Status{}
		if err := json.Unmarshal([]byte(text), status); err != nil {
			return nil, fmt.Errorf("read the status from %s: %w", node, err)
		}
		if status.Quorate && status.Leader != "" {
			return status, nil
		}
		errs = append(errs, fmt.Errorf("%s has no quorum", node))
	}
	return nil, errors.Join(errs...)
}

// statusOf asks one node. One whose daemon stands still does not answer: then another
// is to be asked before long.
func (l *Lab) statusOf(ctx context.Context, node string) (string, error) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return l.ha(ctx, node, "status", "--json")
}

// Await waits until the cluster's status is as wanted.
func (l *Lab) Await(ctx context.Context, limit time.Duration, what string, wanted func(*api.Status) bool) (*api.Status, error) {
	return l.await(ctx, limit, 20*time.Millisecond, what, wanted)
}

func (l *Lab) await(ctx context.Context, limit, interval time.Duration, what string, wanted func(*api.Status) bool) (*api.Status, error) {
	for deadline := time.Now().Add(limit); ; time.Sleep(interval) {
		status, err := l.ClusterStatus(ctx)
		if err == nil && wanted(status) {
			return status, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if time.Now().After(deadline) {
			if err != nil {
				return nil, fmt.Errorf("after %v still not: %s: %w", limit, what, err)
			}
			return nil, fmt.Errorf("after %v still not: %s (%s)", limit, what, describe(status))
		}
	}
}

// describe says in a line what a status shows.
func describe(s *api.Status) string {
	var parts []string
	for _, n := range s.Nodes {
		parts = append(parts, n.Name+" "+n.State)
	}
	for _, id := range primitives(s.Resources) {
		parts = append(parts, fmt.Sprintf("%s on %q", id, PlaceOf(s, id)))
	}
	for _, f := range s.Failures {
		parts = append(parts, fmt.Sprintf("%s of %s on %s failed: %s", f.Operation, f.Resource, f.Node, f.Reason))
	}
	return strings.Join(parts, ", ")
}

// AllOnline reports whether every node of the lab is online and not in standby,
// and nothing is being fenced.
func (l *Lab) AllOnline(s *api.Status) bool {
	online := 0
	for _, n := range s.Nodes {
		if n.State == "online" && !n.Standby {
			online++
		}
	}
	return online == l.Spec.Nodes && len(s.Fencings) == 0
}

// PlaceOf returns the node on which a primitive is started, "" if there is none
// or more than one.
func PlaceOf(s *api.Status, id string) string {
	var find func([]api.Resource) *api.Resource
	find = func(all []api.Resource) *api.Resource {
		for i := range all {
			if all[i].ID == id {
				return &all[i]
			}
			if r := find(all[i].Members); r != nil {
				return r
			}
		}
		return nil
	}
	r := find(s.Resources)
	if r == nil || r.State != "started" || len(r.On) != 1 || r.On[0].Unknown {
		return ""
	}
	return r.On[0].Node
}

func primitives(all []api.Resource) []string {
	var ids []string
	for _, r := range all {
		if len(r.Members) == 0 {
			ids = append(ids, r.ID)
		}
		ids = append(ids, primitives(r.Members)...)
	}
	return ids
}
