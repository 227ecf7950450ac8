package lab

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"linuxha/internal/api"
)

// The service that demonstration and measurement protect: an address and a web
// server, together on one node.
const (
	serviceGroup   = "site"
	serviceAddress = "site-ip"
	serviceServer  = "site-web"
)

// ServiceTarget is where a client reaches the service.
var ServiceTarget = netip.MustParseAddrPort("10.77.1.100:80")

// ServiceConfig describes the service; server is WebServer or ProcessServer.
func ServiceConfig(server string) string {
	return fmt.Sprintf(`
resource %q {
  agent  = "ha:ip"
  params = { address = "%s/24" }
}

resource %q {
%s}

group %q { members = [%q, %q] }
`, serviceAddress, ServiceTarget.Addr(), serviceServer, server, serviceGroup, serviceAddress, serviceServer)
}

// WebServer is the built-in web server, in the body of a resource block.
const WebServer = `  agent  = "ha:web"
  params = { content = "the site is up\n" }
`

// ProcessServer is a program like any other, under ha:process.
var ProcessServer = fmt.Sprintf(`  agent  = "ha:process"
  params = { command = "/usr/sbin/%s %d", ready_tcp = "%d" }
`, faceServer, ServiceTarget.Port(), ServiceTarget.Port())

// ServedBy returns the node that runs the whole service, "" if none does.
func ServedBy(s *api.Status) string {
	node := PlaceOf(s, serviceServer)
	if node != PlaceOf(s, serviceAddress) {
		return ""
	}
	return node
}

// Outage is what a client saw of an event, and where the service was before and
// after it.
type Outage struct {
	From      string  `json:"from"`
	To        string  `json:"to"`
	Leader    bool    `json:"leader"`    // From was the leader
	OutageMS  float64 `json:"outage_ms"` // the client's longest gap between two answers
	Requests  int     `json:"requests"`
	Answered  int     `json:"answered"`
	FinalWord string  `json:"last_error,omitempty"`
}

// settleTime is how long the client goes on after the cluster says that the
// service is back.
const settleTime = 500 * time.Millisecond

// serviceTimeout bounds each wait for the service.
const serviceTimeout = 60 * time.Second

// measure lets a client ask the service while act happens to the node that runs
// it, until done holds of the status and the client is answered again.
func (l *Lab) measure(ctx context.Context, act func(active string) error, done func(s *api.Status, active string) bool) (Outage, error) {
	var o Outage
	before, err := l.Await(ctx, serviceTimeout, "every node is online and the service runs", func(s *api.Status) bool {
		return l.AllOnline(s) && ServedBy(s) != ""
	})
	if err != nil {
		return o, err
	}
	o.From = ServedBy(before)
	o.Leader = before.Leader == o.From
	p, err := l.StartProbe(ctx, Client, ServiceTarget, ProbeHTTP, 0)
	if err != nil {
		return o, err
	}
	defer p.Stop()
	if err := p.awaitAnswers(ctx, 40); err != nil {
		return o, err
	}
	if err := act(o.From); err != nil {
		return o, err
	}
	// Asking costs the machine time that the failover needs, so seldom.
	after, err := l.await(ctx, serviceTimeout, 250*time.Millisecond, "the service is back", func(s *api.Status) bool { return done(s, o.From) })
	if err != nil {
		return o, err
	}
	o.To = ServedBy(after)
	if err := p.awaitAnswers(ctx, 40); err != nil {
		return o, err
	}
	select {
	case <-time.After(settleTime):
	case <-ctx.Done():
		return o, ctx.Err()
	}
	result, err := p.Stop()
	if err != nil {
		return o, fmt.Errorf("probe: %w", err)
	}
	o.OutageMS = result.LongestGap * 1000
	o.Requests, o.Answered, o.FinalWord = result.Sent, result.Succeeded, result.LastError
	return o, nil
}

// awaitAnswers waits for so many further successes.
func (p *Probe) awaitAnswers(ctx context.Context, n int) error {
	want := p.Result().Succeeded + n
	for deadline := time.Now().Add(serviceTimeout); ; time.Sleep(10 * time.Millisecond) {
		result := p.Result()
		switch {
		case result.Succeeded >= want:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("the client got no answer from %s for %v: %s", ServiceTarget, serviceTimeout, result.LastError)
		}
	}
}
