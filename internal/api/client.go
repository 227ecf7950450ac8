package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// SocketPath is where the daemon of the host listens; root is "" for the real
// one, else the directory that all fixed paths are moved below.
func SocketPath(root string) string { return filepath.Join("/", root, "run/ha/ha.sock") }

// Client talks to one daemon.
type Client struct {
	http   http.Client
	socket string
}

// NewClient returns a client of the daemon at the unix socket.
func NewClient(socket string) *Client {
	c := &Client{socket: socket}
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	return c
}

// do sends a request and hands the body of a good answer to read.
func (c *Client) do(ctx context.Context, method, path string, body any, read func(io.Reader) error) error {
	var in io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		in = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://ha"+path, in)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var a Answer
		data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if json.Unmarshal(data, &a) == nil && a.Error != nil {
			return a.Error
		}
		return fmt.Errorf("the daemon answered %s", resp.Status)
	}
	return read(resp.Body)
}

// answerTime is how long a daemon may take for what it only has to look up: longer
// than one that has just started waits for its first state.
var answerTime = 2 * stateTime

var errSilent = errors.New("the daemon here does not answer: it stands still, or its host has no time for it; look at its process and its log, and at the cluster from another node")

// get reads one answer.
func (c *Client) get(ctx context.Context, path string, v any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, errSilent)
	defer cancel()
	err := c.do(ctx, "GET", path, nil, into(v))
	if err != nil && context.Cause(ctx) == errSilent {
		return errSilent
	}
	return err
}

// explain turns a failed connection into what to do about it.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no daemon is running here (%s); start it with 'systemctl start ha' or 'ha daemon', or make a cluster with 'ha init'", c.socket)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("you may not talk to the daemon (%s); become root", c.socket)
	}
	return err
}

func into(v any) func(io.Reader) error {
	return func(r io.Reader) error { return json.NewDecoder(r).Decode(v) }
}

// lines hands each line of a followed answer to take, until it ends.
func lines[T any](take func(*T) error) func(io.Reader) error {
	return func(r io.Reader) error {
		in := bufio.NewScanner(r)
		in.Buffer(nil, MaxBody)
		for in.Scan() {
			v := new(T)
			if err := json.Unmarshal(in.Bytes(), v); err != nil {
				return fmt.Errorf("read the daemon's answer: %w", err)
			}
			if err := take(v); err != nil {
				return err
			}
		}
		return in.Err()
	}
}

// Status returns the cluster as the daemon sees it.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var s Status
	return &s, c.get(ctx, "/v1/status", &s)
}

// WatchStatus calls take now and whenever something changed, until take fails
// or ctx ends.
func (c *Client) WatchStatus(ctx context.Context, take func(*Status) error) error {
	return c.do(ctx, "GET", "/v1/status?watch=1", nil, lines(take))
}

// Events calls take for each event numbered from on; with follow it goes on.
func (c *Client) Events(ctx context.Context, from uint64, follow bool, take func(*cluster.Event) error) error {
	path := "/v1/events?from=" + strconv.FormatUint(from, 10)
	if follow {
		path += "&follow=1"
	}
	return c.do(ctx, "GET", path, nil, lines(take))
}

// State returns the whole replicated state.
func (c *Client) State(ctx context.Context) (*cluster.State, error) {
	var s cluster.State
	return &s, c.get(ctx, "/v1/state", &s)
}

// Config returns the running configuration.
func (c *Client) Config(ctx context.Context) (*ConfigView, error) {
	var v ConfigView
	return &v, c.get(ctx, "/v1/config", &v)
}

// Plan asks what cfg would change.
func (c *Client) Plan(ctx context.Context, cfg *cluster.Config) (*Plan, error) {
	var p Plan
	return &p, c.do(ctx, "POST", "/v1/plan", cfg, into(&p))
}

// Request has something done, and returns the log index at which it was.
func (c *Client) Request(ctx context.Context, r event.Request) (uint64, error) {
	var a Answer
	err := c.do(ctx, "POST", "/v1/request", r, into(&a))
	return a.Index, err
}
