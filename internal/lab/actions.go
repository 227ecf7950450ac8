package lab

import (
	"errors"
	"fmt"
	"time"
)

// actionTimeout bounds one order to the supervisor.
const actionTimeout = 30 * time.Second

func (l *Lab) ask(r request) (reply, error) {
	answer, err := call(l.dir.control(), r, actionTimeout)
	if errors.Is(err, errNotRunning) {
		return reply{}, fmt.Errorf("lab %q was left half-way and does not run: 'ha lab down --name %s' clears it away", l.Spec.Name, l.Spec.Name)
	}
	return answer, err
}

func (l *Lab) order(r request) error {
	_, err := l.ask(r)
	return err
}

// Status tells the state of every host.
func (l *Lab) Status() (*Status, error) {
	answer, err := l.ask(request{Op: opStatus})
	return answer.Status, err
}

// Crash cuts a host's power and returns when the host is off for certain.
func (l *Lab) Crash(host string) error { return l.order(request{Op: opPowerOff, Host: host}) }

// Start powers a host on and returns when it takes commands.
func (l *Lab) Start(host string) error { return l.order(request{Op: opPowerOn, Host: host}) }

// Pause silences a host's network and stops all of its processes.
func (l *Lab) Pause(host string) error { return l.order(request{Op: opPause, Host: host}) }

// Resume ends a pause.
func (l *Lab) Resume(host string) error { return l.order(request{Op: opResume, Host: host}) }

// Cut says which traffic of a host is to be lost.
type Cut struct {
	Host      string
	Link      int       // 0: every link
	Direction Direction // in: the host hears nothing; out: nobody hears it
	Peer      string    // only what passes between Host and Peer; "": everything
	Unplug    bool      // the host's interface loses its carrier too
}

// Cut cuts links of a host.
func (l *Lab) Cut(c Cut) error {
	return l.order(request{Op: opCut, Host: c.Host, Link: c.Link, Direction: c.Direction, Peer: c.Peer, Unplug: c.Unplug})
}

// Heal mends all cuts and losses of a host, or of all hosts if host is "".
func (l *Lab) Heal(host string) error { return l.order(request{Op: opHeal, Host: host}) }

// Loss makes a link of the host, or every link if link is 0, lose packets at
// random; 0 percent ends it.
func (l *Lab) Loss(host string, link int, direction Direction, percent float64) error {
	return l.order(request{Op: opLoss, Host: host, Link: link, Direction: direction, Percent: percent})
}
