package stream

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// stagger is the pause before the next link is tried as well.
const stagger = 50 * time.Millisecond

// connection is one dialled connection after its hellos.
type connection struct {
	link    int
	tls     *tls.Conn
	reader  *bufio.Reader
	hello   *hello // the peer's
	timeout time.Duration

	once   sync.Once
	done   chan struct{} // closed when the connection is abandoned
	reason error         // why; read after done
}

// abandon ends the connection; only the first reason counts.
func (c *connection) abandon(reason error) {
	c.once.Do(func() {
		c.reason = reason
		close(c.done)
		c.tls.NetConn().Close()
	})
}

func (c *connection) gone() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// dial connects over the first link that answers: those on which the peer is
// heard first, the one to avoid last.
func (p *peer) dial(avoid int) (*connection, error) {
	p.mu.Lock()
	addresses, up := p.addresses, p.up
	p.mu.Unlock()
	order := linkOrder(len(addresses), up, avoid)
	ctx, cancel := context.WithTimeout(context.Background(), max(p.streams.dead(), time.Second))
	defer cancel()
	go func() { // owned by ctx
		select {
		case <-p.streams.stop:
			cancel()
		case <-ctx.Done():
		}
	}()

	type outcome struct {
		conn *connection
		err  error
	}
	results := make(chan outcome, len(order))
	started, failed := 0, 0
	start := func() {
		i := order[started]
		started++
		go func() { // ends with ctx
			conn, err := p.dialLink(ctx, i, addresses[i])
			results <- outcome{conn, err}
		}()
	}
	start()
	var errs []error
	for {
		var next <-chan time.Time
		if started < len(order) {
			timer := time.NewTimer(stagger)
			defer timer.Stop()
			next = timer.C
		}
		select {
		case <-next:
			start()
		case r := <-results:
			if r.err == nil {
				pending := started - failed - 1
				go func() { // the losers of the race
					for range pending {
						if late := <-results; late.conn != nil {
							late.conn.abandon(errEnded)
						}
					}
				}()
				return r.conn, nil
			}
			failed++
			errs = append(errs, r.err)
			if failed == len(order) {
				return nil, errors.Join(errs...)
			}
			if failed == started {
				start()
			}
		}
	}
}

// linkOrder lists the links 0 to n-1 in the order in which to try them.
func linkOrder(n int, up uint8, avoid int) []int {
	var heard, others, last []int
	for i := range n {
		switch {
		case i == avoid:
			last = append(last, i)
		case up&(1<<i) != 0:
			heard = append(heard, i)
		default:
			others = append(others, i)
		}
	}
	return append(append(heard, last...), others...)
}

func (p *peer) dialLink(ctx context.Context, i int, to netip.AddrPort) (*connection, error) {
	s := p.streams
	dialer := net.Dialer{KeepAlive: -1}
	if i < len(s.options.Local) {
		// From this node's own end of the link, so that the kernel takes no other way.
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.options.Local[i].Addr(), 0))
	}
	raw, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, fmt.Errorf("link %d: %w", i, err)
	}
	conn, err := p.greet(ctx, raw, i)
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("link %d: %w", i, err)
	}
	return conn, nil
}

// greet makes a connected socket a stream: TLS, then the hellos.
func (p *peer) greet(ctx context.Context, raw net.Conn, i int) (*connection, error) {
	s := p.streams
	keepAlive(raw, s.dead())
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	conn := tls.Client(raw, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{ProtocolNode},
		Certificates: []tls.Certificate{s.options.Identity.Certificate},
		// Nodes are known by name, not by address: VerifyConnection checks the chain.
		InsecureSkipVerify: true,
		VerifyConnection:   func(state tls.ConnectionState) error { return s.check(state, p.name) },
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	greeting, err := appendHello(nil, s.hello(0))
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(greeting); err != nil {
		return nil, err
	}
	reader := bufio.NewReader(conn)
	answer, err := readHello(reader)
	if err != nil {
		return nil, err
	}
	if answer.Incarnation.Node != p.name {
		return nil, fmt.Errorf("it says that it is %s, not %s", answer.Incarnation.Node, p.name)
	}
	if !stop() {
		return nil, ctx.Err()
	}
	return &connection{link: i, tls: conn, reader: reader, hello: answer, timeout: max(2*s.dead(), time.Second), done: make(chan struct{})}, nil
}

// keepAlive makes a connection fail soon after its peer has gone.
func keepAlive(conn net.Conn, dead time.Duration) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	seconds := max(int(dead/time.Second), 1)
	tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Duration(seconds) * time.Second, Interval: time.Second, Count: 3})
	if raw, err := tcp.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			// Data that nobody acknowledges for this long ends the connection.
			unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_USER_TIMEOUT, int(max(2*dead, time.Second).Milliseconds()))
		})
	}
}
