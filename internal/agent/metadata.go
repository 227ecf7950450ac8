package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"linuxha/internal/agent/fence"
	"linuxha/internal/agent/lsb"
	"linuxha/internal/agent/metadata"
	"linuxha/internal/agent/ocf"
	"linuxha/internal/cluster"
)

// metadataTimeout bounds how long an agent may take to tell about itself.
const metadataTimeout = 30 * time.Second

// metadataCache holds what agents told, until their programs change.
type metadataCache struct {
	mu    sync.Mutex
	known map[string]cachedMetadata // by path
}

type cachedMetadata struct {
	size     int64
	modified time.Time
	metadata *cluster.AgentMetadata
}

// Metadata returns what an agent says of itself; it is shared, and read-only.
func (r *Runner) Metadata(ctx context.Context, agent cluster.Agent) (*cluster.AgentMetadata, error) {
	switch agent.Class {
	case "ha":
		if m := cluster.Builtin(agent.Type); m != nil {
			return m, nil
		}
		return nil, fmt.Errorf("there is no built-in agent %s; there are ha:%s", agent, strings.Join(cluster.BuiltinTypes(), ", ha:"))
	case "systemd":
		return r.agents.systemd.Metadata(ctx, agent)
	case "service":
		if r.agents.systemd.Has(ctx, agent.Type) {
			return r.agents.systemd.Metadata(ctx, agent)
		}
	}
	path, read, err := r.metadataSource(agent)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", agent, err)
	}
	r.metadata.mu.Lock()
	cached, ok := r.metadata.known[path]
	r.metadata.mu.Unlock()
	if ok && cached.size == info.Size() && cached.modified.Equal(info.ModTime()) {
		return cached.metadata, nil
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	m, err := read(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", agent, err)
	}
	r.metadata.mu.Lock()
	defer r.metadata.mu.Unlock()
	if r.metadata.known == nil {
		r.metadata.known = make(map[string]cachedMetadata)
	}
	r.metadata.known[path] = cachedMetadata{info.Size(), info.ModTime(), m}
	return m, nil
}

// Learn reads the metadata of a configuration's fence agents ahead of time, so
// that a fencing need not wait for it: agents in Python take a good part of a
// second. It returns at once; a revision that was learnt already costs nothing.
func (r *Runner) Learn(revision uint64, config *cluster.Config) {
	if r.learnt.Swap(revision) == revision {
		return
	}
	go func() {
		for _, agent := range fenceAgents(config.Resources, fenceAgents(config.Templates, nil)) {
			if _, err := r.Metadata(context.Background(), agent); err != nil {
				r.o.Log.Debug("a fence agent gives no metadata", "error", err)
			}
		}
	}()
}

func fenceAgents(resources []cluster.Resource, found []cluster.Agent) []cluster.Agent {
	for i := range resources {
		if a := resources[i].Agent; a.IsFence() && !slices.Contains(found, a) {
			found = append(found, a)
		}
		found = fenceAgents(resources[i].Children, found)
	}
	return found
}

// metadataSource returns an agent's program and how to get its metadata.
func (r *Runner) metadataSource(agent cluster.Agent) (path string, read func(context.Context, string) (*cluster.AgentMetadata, error), err error) {
	switch agent.Class {
	case "ocf":
		path, err = ocf.Path(r.o.OCFRoot, agent)
		read = func(ctx context.Context, path string) (*cluster.AgentMetadata, error) {
			c := exec.CommandContext(ctx, path, "meta-data")
			c.Env = append(environ(), "OCF_ROOT="+r.o.OCFRoot)
			return told(c, agent)
		}
	case "stonith":
		path, err = fence.Path(r.o.FencePath, agent)
		read = func(ctx context.Context, path string) (*cluster.AgentMetadata, error) {
			c := exec.CommandContext(ctx, path)
			c.Env = append(environ(), "PCMK_service=pacemaker-fenced")
			c.Stdin = strings.NewReader("action=metadata\n")
			return told(c, agent)
		}
	case "lsb", "service":
		path, err = lsb.Path(r.o.InitDir, cluster.Agent{Class: "lsb", Type: agent.Type})
		read = func(_ context.Context, path string) (*cluster.AgentMetadata, error) {
			file, err := os.Open(path)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			script, err := io.ReadAll(io.LimitReader(file, metadata.MaxSize))
			if err != nil {
				return nil, err
			}
			return lsb.Metadata(agent, script), nil
		}
	default:
		err = fmt.Errorf("there are no agents of class %q; there are ocf, systemd, lsb, service, stonith and ha", agent.Class)
	}
	return path, read, err
}

// told runs a program that prints metadata. What it prints counts, not how it exits.
func told(c *exec.Cmd, agent cluster.Agent) (*cluster.AgentMetadata, error) {
	out := &bounded{limit: metadata.MaxSize}
	c.Stdout = out
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second
	err := c.Run()
	m, bad := metadata.Parse(agent, out.Bytes())
	if bad != nil && err != nil {
		return nil, err
	}
	return m, bad
}

// bounded keeps the first bytes written to it, and takes the rest.
type bounded struct {
	bytes.Buffer
	limit int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.limit-b.Len())])
	return len(p), nil
}
