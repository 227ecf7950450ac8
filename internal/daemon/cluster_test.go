package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"linuxha/internal/api"
	"linuxha/internal/cli"
	"linuxha/internal/cluster"
)

// asCommand in the environment makes the test binary the command line tool.
const asCommand = "HA_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(cli.Main(append([]string{"ha"}, os.Args[1:]...)))
	}
	os.Exit(m.Run())
}

// node is one node with its own root; its daemon is a process.
type node struct {
	t      *testing.T
	name   string
	root   string
	links  []string
	daemon *exec.Cmd
	ended  chan error
	log    *logBuffer
}

// logBuffer takes a daemon's log while the test reads it.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newNode prepares node number n of the test with two links.
func newNode(t *testing.T, port, n int) *node {
	host := &node{t: t, name: fmt.Sprint("node", n), root: t.TempDir(), log: new(logBuffer)}
	for link := range 2 {
		host.links = append(host.links, fmt.Sprintf("127.77.%d.%d:%d", link, n, port))
	}
	t.Cleanup(func() {
		host.kill()
		if strings.Contains(host.log.String(), "DATA RACE") { // seen with -race only
			t.Errorf("%s has a data race", host.name)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", host.name, host.log)
		}
	})
	return host
}

func (n *node) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append([]string{"--root", n.root}, args...)...)
	cmd.Env = append(os.Environ(), asCommand+"=1", "NOTIFY_SOCKET=")
	return cmd
}

// run runs a command and returns its output, or what it complained of.
func (n *node) run(args ...string) (string, error) {
	out, err := n.command(args...).Output()
	if failed, ok := err.(*exec.ExitError); ok {
		return "", fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	return string(out), err
}

func (n *node) must(args ...string) string {
	n.t.Helper()
	out, err := n.run(args...)
	if err != nil {
		n.t.Fatalf("ha %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// start runs the daemon until kill, or the end of the test.
func (n *node) start() {
	n.t.Helper()
	n.daemon = n.command("daemon")
	n.daemon.Stdout, n.daemon.Stderr = n.log, n.log
	if err := n.daemon.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan error) { ended <- cmd.Wait() }(n.daemon, n.ended)
}

func (n *node) kill() {
	if n.daemon == nil {
		return
	}
	n.daemon.Process.Kill()
	<-n.ended
	n.daemon = nil
}

// wait waits for the daemon's own end.
func (n *node) wait() error {
	n.t.Helper()
	select {
	case err := <-n.ended:
		n.daemon = nil
		return err
	case <-time.After(60 * time.Second):
		n.t.Fatalf("the daemon of %s does not end", n.name)
		return nil
	}
}

func (n *node) client() *api.Client { return api.NewClient(api.SocketPath(n.root)) }

// makeCluster brings up count nodes.
func makeCluster(t *testing.T, port, count int) []*node {
	t.Helper()
	var nodes []*node
	for i := range count {
		n := newNode(t, port, i+1)
		if i == 0 {
			n.must("init", "--name", "test", "--node", n.name, "--link", n.links[0], "--link", n.links[1])
			n.start()
		} else {
			until(t, "a token is given", func() error {
				var made struct{ Token string }
				out, err := nodes[0].run("token", "--json")
				if err != nil {
					return err
				}
				if err := json.Unmarshal([]byte(out), &made); err != nil {
					return err
				}
				n.must("join", nodes[(i-1)%len(nodes)].links[i%2], "--token", made.Token, "--node", n.name, "--link", n.links[0], "--link", n.links[1])
				return nil
			})
			n.start()
		}
		nodes = append(nodes, n)
		until(t, n.name+" is online", func() error { return online(nodes...) })
	}
	return nodes
}

// online checks that all of nodes see each other online under one leader.
func online(nodes ...*node) error {
	leader := ""
	for _, n := range nodes {
		s, err := n.client().Status(context.Background())
		if err != nil {
			return err
		}
		if s.Leader == "" || (leader != "" && s.Leader != leader) || !s.Quorate {
			return fmt.Errorf("%s: leader %q (others: %q), quorate %v", n.name, s.Leader, leader, s.Quorate)
		}
		leader = s.Leader
		for _, other := range nodes {
			i := slices.IndexFunc(s.Nodes, func(m api.Node) bool { return m.Name == other.name })
			if i < 0 || s.Nodes[i].State != "online" {
				return fmt.Errorf("%s: %s is not online", n.name, other.name)
			}
		}
	}
	return nil
}

func until(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("waited in vain until %s: %v", what, err)
}

func leaderOf(t *testing.T, n *node, nodes []*node) *node {
	t.Helper()
	leader := -1
	until(t, n.name+" knows a leader", func() error {
		s, err := n.client().Status(context.Background())
		if err != nil {
			return err
		}
		if leader = slices.IndexFunc(nodes, func(m *node) bool { return m.name == s.Leader }); leader < 0 {
			return fmt.Errorf("the leader is %q", s.Leader)
		}
		return nil
	})
	return nodes[leader]
}

func TestCluster(t *testing.T) {
	nodes := makeCluster(t, 17710, 3)

	// Something is committed, and every node knows it.
	state, err := nodes[1].client().State(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	cfg := state.Config
	cfg.Options = []cluster.AttrSet{{ID: "o", Pairs: []cluster.NVPair{{Name: "maintenance-mode", Value: "true"}}}}
	if _, err := nodes[1].client().Request(context.Background(), api.Request{By: "test", Commands: []cluster.Command{{Config: &cluster.ConfigChange{Base: state.Revision, Config: cfg}}}}); err != nil {
		t.Fatal(err)
	}
	configured := func() error {
		for _, n := range nodes {
			s, err := n.client().State(context.Background())
			if err != nil {
				return err
			}
			if len(s.Config.Options) != 1 {
				return fmt.Errorf("%s does not know the new configuration", n.name)
			}
		}
		return nil
	}
	until(t, "the change is everywhere", configured)

	// The leader's daemon is killed, and comes back.
	old := leaderOf(t, nodes[0], nodes)
	rest := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == old })
	old.kill()
	until(t, "another node leads", func() error {
		if err := online(rest...); err != nil {
			return err
		}
		if leaderOf(t, rest[0], nodes) == old {
			return fmt.Errorf("%s still leads", old.name)
		}
		return nil
	})
	old.start()
	until(t, "it is back", func() error { return online(nodes...) })

	// A restart keeps the process; an orderly stop ends it.
	pid := nodes[2].daemon.Process.Pid
	incarnation := counter(t, nodes[0], nodes[2].name)
	if err := nodes[2].daemon.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	until(t, "the daemon has started itself anew", func() error {
		if now := counter(t, nodes[0], nodes[2].name); now != incarnation+1 {
			return fmt.Errorf("incarnation %d, was %d", now, incarnation)
		}
		return online(nodes...)
	})
	if nodes[2].daemon.Process.Pid != pid {
		t.Error("the restart made another process")
	}
	if err := nodes[2].daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := nodes[2].wait(); err != nil {
		t.Errorf("an orderly stop: %v", err)
	}
	until(t, "it is offline", func() error {
		s, err := nodes[0].client().State(context.Background())
		if err == nil && s.Member(nodes[2].name).State != cluster.NodeOffline {
			err = fmt.Errorf("it is %s", s.Member(nodes[2].name).State)
		}
		return err
	})
	nodes[2].start()
	until(t, "it is back", func() error { return online(nodes...) })

	// Power is lost everywhere.
	for _, n := range nodes {
		n.kill()
	}
	for _, n := range nodes {
		n.start()
	}
	until(t, "the cluster is back", func() error { return online(nodes...) })
	if err := configured(); err != nil {
		t.Error(err)
	}
}

func counter(t *testing.T, n *node, of string) uint64 {
	t.Helper()
	s, err := n.client().State(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s.Member(of).Incarnation.Counter
}

// TestLostState damages or removes what a node has stored: it joins afresh,
// under a new Raft id, and its incarnations go on counting.
func TestLostState(t *testing.T) {
	nodes := makeCluster(t, 17711, 3)
	victim := nodes[2]
	file := filepath.Join(victim.root, "var/lib/ha/state.db")
	for name, damage := range map[string]func() error{
		"torn":    func() error { return os.Truncate(file, 5000) },
		"removed": func() error { return os.Remove(file) },
	} {
		before, err := nodes[0].client().State(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		was := *before.Member(victim.name)
		victim.kill()
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		victim.start()
		until(t, name+": it is back", func() error {
			s, err := nodes[0].client().State(context.Background())
			if err != nil {
				return err
			}
			if is := s.Member(victim.name); is.RaftID == was.RaftID || is.Incarnation.Counter <= was.Incarnation.Counter {
				return fmt.Errorf("it is %x.%d still (was %x.%d)", is.RaftID, is.Incarnation.Counter, was.RaftID, was.Incarnation.Counter)
			}
			return online(nodes...)
		})
	}
}

// TestStopWhileAlone stops a node that waits for a member to let it in.
func TestStopWhileAlone(t *testing.T) {
	nodes := makeCluster(t, 17714, 2)
	for _, n := range nodes {
		n.kill()
	}
	if err := os.Remove(filepath.Join(nodes[1].root, "var/lib/ha/state.db")); err != nil {
		t.Fatal(err)
	}
	nodes[1].start()
	until(t, "it asks in vain", func() error {
		if !strings.Contains(nodes[1].log.String(), "cannot join afresh yet") {
			return fmt.Errorf("it has not said so")
		}
		return nil
	})
	if err := nodes[1].daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := nodes[1].wait(); err != nil {
		t.Errorf("a stop while it waits: %v", err)
	}
}

func TestRefusedBringUp(t *testing.T) {
	nodes := makeCluster(t, 17712, 1)
	stranger := newNode(t, 17713, 1)
	var foreign struct{ Token string }
	if err := json.Unmarshal([]byte(stranger.must("init", "--name", "other", "--node", "x", "--link", stranger.links[0], "--json")), &foreign); err != nil {
		t.Fatal(err)
	}
	newToken := func() string {
		var made struct{ Token string }
		if err := json.Unmarshal([]byte(nodes[0].must("token", "--json")), &made); err != nil {
			t.Fatal(err)
		}
		return made.Token
	}
	host := newNode(t, 17712, 2)
	good := newToken()
	member := nodes[0].links[0]
	for _, test := range []struct {
		want string
		args []string
	}{
		{"a join token is needed", []string{"join", member, "--link", host.links[0]}},
		{"not a whole join token", []string{"join", member, "--token", good[:20]}},
		{"is not an address", []string{"join", "somewhere", "--token", good}},
		{"belongs to another cluster", []string{"join", member, "--token", foreign.Token, "--node", "a", "--link", host.links[0]}},
		{"cannot be a node's name", []string{"join", member, "--token", good, "--node", "a b", "--link", host.links[0]}},
		{"this host cannot use", []string{"join", member, "--token", good, "--node", "a", "--link", "192.0.2.1"}},
		{"is a member and online", []string{"join", member, "--token", good, "--node", nodes[0].name, "--link", host.links[0]}},
		{"have one address", []string{"join", member, "--token", good, "--node", "a", "--link", host.links[0], "--link", host.links[0]}},
		{"connection refused", []string{"join", "127.77.0.99:17712", "--token", good, "--node", "a", "--link", host.links[0]}},
		{"needs a name", []string{"init", "--link", host.links[0]}},
		{"1 to 8 links", []string{"init", "--name", "web"}},
		{"one of extreme", []string{"init", "--name", "web", "--link", host.links[0], "--detection", "quick"}},
		{"belongs to no cluster", []string{"daemon"}},
	} {
		out, err := host.run(test.args...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ha %s: %q, %v; want %q", strings.Join(test.args, " "), out, err, test.want)
		}
		if _, err := os.Stat(filepath.Join(host.root, "etc/ha/node.json")); err == nil {
			t.Fatalf("ha %s made this host a node", strings.Join(test.args, " "))
		}
	}
	host.must("join", member, "--token", good, "--node", host.name, "--link", host.links[0])
	if _, err := host.run("join", member, "--token", newToken(), "--node", "again", "--link", host.links[0]); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a node joined twice: %v", err)
	}
	third := newNode(t, 17712, 3)
	if _, err := third.run("join", member, "--token", good, "--node", third.name, "--link", third.links[0]); err == nil || !strings.Contains(err.Error(), "unknown, used or too old") {
		t.Errorf("a token was used twice: %v", err)
	}
}
