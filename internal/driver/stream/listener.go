// Package stream carries everything but heartbeats: TLS 1.3 between nodes that
// know each other by the cluster's own authority, over whichever link works.
// One TCP port serves all protocols; ALPN tells them apart.
package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"linuxha/internal/driver/keys"
)

// Protocols on the port, as ALPN names them. What is neither of the first two
// is HTTP, and goes to the API.
const (
	ProtocolNode = "ha-node/1"
	ProtocolJoin = "ha-join/1"
)

const (
	handshakeTime = 5 * time.Second
	maxHandshakes = 64 // at a time: strangers cannot take all memory
)

// Handler serves one connection and closes it. Peer is the node whose
// certificate opened it, "" where none was shown.
type Handler func(conn *tls.Conn, peer string)

// Listener accepts connections on every link.
type Listener struct {
	identity *keys.Identity
	log      *slog.Logger
	sockets  []net.Listener
	slots    chan struct{}
	done     sync.WaitGroup

	mu       sync.Mutex // guards what follows
	handlers map[string]Handler
	open     map[net.Conn]struct{}
	closed   bool
}

// Listen binds the port on each of the addresses. Nothing is served before Handle.
func Listen(identity *keys.Identity, local []netip.AddrPort, log *slog.Logger) (*Listener, error) {
	l := &Listener{
		identity: identity, log: log, slots: make(chan struct{}, maxHandshakes),
		handlers: map[string]Handler{}, open: map[net.Conn]struct{}{},
	}
	config := net.ListenConfig{Control: control(unix.IP_FREEBIND)}
	for _, address := range local {
		socket, err := config.Listen(context.Background(), "tcp", address.String())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen on %s: %w", address, err), l.Close())
		}
		l.sockets = append(l.sockets, socket)
	}
	for _, socket := range l.sockets {
		l.done.Go(func() { l.accept(socket) })
	}
	return l, nil
}

// control sets an IP option to 1 before a socket is bound.
func control(option int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, option, 1) })
		return errors.Join(err, failed)
	}
}

// Handle says who serves a protocol.
func (l *Listener) Handle(protocol string, h Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handlers[protocol] = h
}

func (l *Listener) accept(socket net.Listener) {
	for {
		conn, err := socket.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.log.Warn("accept connection", "on", socket.Addr().String(), "error", err)
			time.Sleep(50 * time.Millisecond) // out of file descriptors: let some go
			continue
		}
		l.slots <- struct{}{}
		if !l.track(conn) {
			conn.Close()
			<-l.slots
			continue
		}
		l.done.Go(func() {
			defer l.untrack(conn)
			l.serve(conn)
		})
	}
}

func (l *Listener) track(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.open[conn] = struct{}{}
	return true
}

func (l *Listener) untrack(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
}

func (l *Listener) serve(raw net.Conn) {
	conn := tls.Server(raw, l.config())
	conn.SetDeadline(time.Now().Add(handshakeTime))
	err := conn.Handshake()
	<-l.slots
	if err != nil {
		l.log.Debug("connection refused", "from", raw.RemoteAddr().String(), "error", err)
		conn.Close()
		return
	}
	conn.SetDeadline(time.Time{})
	state := conn.ConnectionState()
	peer := ""
	if len(state.PeerCertificates) > 0 {
		if peer, err = l.identity.Verify(state.PeerCertificates); err != nil {
			conn.Close()
			return
		}
	}
	l.mu.Lock()
	handler := l.handlers[state.NegotiatedProtocol]
	l.mu.Unlock()
	if handler == nil {
		conn.Close()
		return
	}
	handler(conn, peer)
}

// config asks nodes for their certificate, and lets others come without.
func (l *Listener) config() *tls.Config {
	base := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{l.identity.Certificate},
		ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true,
	}
	l.mu.Lock()
	for protocol := range l.handlers {
		base.NextProtos = append(base.NextProtos, protocol)
	}
	l.mu.Unlock()
	base.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) > 0 {
			_, err := l.identity.Verify(state.PeerCertificates)
			return err
		}
		if state.NegotiatedProtocol == ProtocolNode {
			return errors.New("a node has to show its certificate")
		}
		return nil
	}
	return base
}

// Close ends listening and every connection, and waits for their handlers.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	var errs []error
	for _, socket := range l.sockets {
		errs = append(errs, socket.Close())
	}
	for conn := range l.open {
		conn.Close()
	}
	l.mu.Unlock()
	l.done.Wait()
	return errors.Join(errs...)
}
