package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
	"linuxha/internal/driver/keys"
	"linuxha/internal/driver/link"
	"linuxha/internal/driver/stream"
)

// Bounds of the join protocol: one request, one answer, both JSON.
const (
	maxJoinRequest = 64 << 10
	maxJoinAnswer  = 4 << 20
	joinTime       = 30 * time.Second
)

// joinRequest asks a member to admit a node. A node that was a member before
// shows its certificate instead of a token, and keeps it.
type joinRequest struct {
	Token   string   `json:"token,omitempty"`
	Node    string   `json:"node"`
	Links   []string `json:"links"`
	Request []byte   `json:"request,omitempty"` // certificate request
	Version string   `json:"version"`
	Format  int      `json:"format,omitempty"` // newest of log and state that it knows
}

// joinAnswer is all that the new node needs, or why it is refused.
type joinAnswer struct {
	Error        string           `json:"error,omitempty"`
	Cluster      string           `json:"cluster,omitempty"`
	Certificate  []byte           `json:"certificate,omitempty"`
	Authority    []byte           `json:"authority,omitempty"`
	AuthorityKey []byte           `json:"authority_key,omitempty"`
	Ring         *keys.Ring       `json:"ring,omitempty"`
	Lineage      cluster.Lineage  `json:"lineage"`
	Admitted     cluster.Member   `json:"admitted"`
	Members      []cluster.Member `json:"members,omitempty"`
}

// identity is what the joining node's store begins with. Counters go on from
// the one that the cluster knows, so that they never go back.
func (a *joinAnswer) identity(old event.Identity) *event.Identity {
	return &event.Identity{
		Node: a.Admitted.Name, RaftID: a.Admitted.RaftID, Lineage: a.Lineage, Machine: machineID(),
		Counter: max(old.Counter, a.Admitted.Incarnation.Counter), Boot: old.Boot,
	}
}

// JoinOptions describe the node that this host becomes.
type JoinOptions struct {
	Member  string // address of any member
	Token   string
	Node    string
	Links   []string // this host's address on each link; none: the one that leads to Member
	Port    uint16   // where an address has none
	Version string
}

// Join makes this host a node of the cluster that the token is for, and returns
// its settings. Nothing is started.
func Join(ctx context.Context, root Root, o JoinOptions) (*Settings, error) {
	member, err := link.ParseAddress(o.Member)
	if err != nil {
		return nil, &InputError{err}
	}
	token, err := keys.ParseToken(o.Token)
	if err != nil {
		return nil, &InputError{err}
	}
	links, err := parseLinks(o.Links, o.Port)
	if err != nil {
		return nil, err
	}
	if len(links) == 0 {
		local, err := sourceAddress(member)
		if err != nil {
			return nil, fmt.Errorf("join by %s: %w", member, err)
		}
		links = []netip.AddrPort{netip.AddrPortFrom(local, o.Port)}
	}
	if err := checkBringUp(root, o.Node, links); err != nil {
		return nil, err
	}
	key, request, err := keys.NewNodeKey(o.Node)
	if err != nil {
		return nil, err
	}
	conn, err := dialJoin(ctx, member, &tls.Config{
		// The token pins the authority: no name or address has to be known.
		InsecureSkipVerify: true,
		VerifyConnection:   func(state tls.ConnectionState) error { return checkPin(token, state.PeerCertificates) },
	})
	if err != nil {
		return nil, fmt.Errorf("join by %s: %w", member, err)
	}
	answer, err := askToJoin(ctx, conn, &joinRequest{Token: token.String(), Node: o.Node, Links: formatLinks(links), Request: request, Version: o.Version, Format: cluster.Format})
	if err != nil {
		return nil, fmt.Errorf("join by %s: %w", member, err)
	}
	authority, err := keys.ReadAuthority(answer.Authority, answer.AuthorityKey)
	if err != nil {
		return nil, fmt.Errorf("join by %s: %w", member, err)
	}
	if !token.Pinned(authority.Certificate) || answer.Ring == nil || answer.Admitted.Name != o.Node {
		return nil, fmt.Errorf("join by %s: its answer does not fit the token and the request", member)
	}
	node, err := newNode(answer.Certificate, key)
	if err != nil {
		return nil, fmt.Errorf("join by %s: %w", member, err)
	}
	if _, err := keys.NewIdentity(node.certificate, node.key, answer.Authority); err != nil {
		return nil, fmt.Errorf("join by %s: %w", member, err)
	}
	settings := Settings{Cluster: answer.Cluster, Node: o.Node, Links: formatLinks(links)}
	return &settings, install(root, &bringUp{
		settings: settings, node: node, authority: authority, ring: answer.Ring,
		batch: &event.Persist{Reset: true, Identity: answer.identity(event.Identity{})}, members: answer.Members,
	})
}

// checkPin accepts a server whose certificate is of the authority that the
// token pins.
func checkPin(token keys.Token, shown []*x509.Certificate) error {
	if len(shown) < 2 {
		return errors.New("it is no member of a cluster")
	}
	authority := shown[len(shown)-1]
	if !token.Pinned(authority) {
		return errors.New("it belongs to another cluster than the token")
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	_, err := shown[0].Verify(x509.VerifyOptions{Roots: roots, CurrentTime: authority.NotBefore.Add(time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// sourceAddress is this host's address towards another.
func sourceAddress(to netip.AddrPort) (netip.Addr, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to)) // sends nothing
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// rejoin asks the members that this node knew for a place in the cluster, by the
// certificate that it has: one after the other, as they can be reached.
func rejoin(ctx context.Context, c *credentials, settings *Settings, members []cluster.Member, version string) (*joinAnswer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	config := &tls.Config{
		Certificates: []tls.Certificate{c.identity.Certificate}, InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := c.identity.Verify(state.PeerCertificates)
			return err
		},
	}
	type reached struct {
		member string
		conn   *tls.Conn
		err    error
	}
	results := make(chan reached)
	dials := 0
	for _, member := range members {
		addresses, err := link.ParseAddresses(member.Links)
		if err != nil || member.Name == settings.Node {
			continue
		}
		for _, address := range addresses {
			dials++
			go func() { // ends with ctx
				conn, err := dialJoin(ctx, address, config)
				if err != nil {
					err = fmt.Errorf("%s at %s: %w", member.Name, address, err)
				}
				select {
				case results <- reached{member.Name, conn, err}:
				case <-ctx.Done():
					if conn != nil {
						conn.Close()
					}
				}
			}()
		}
	}
	errs := []error{}
	refused := map[string]bool{}
	for range dials {
		r := <-results
		if r.err != nil {
			errs = append(errs, r.err)
			continue
		}
		if refused[r.member] {
			r.conn.Close()
			continue
		}
		answer, err := askToJoin(ctx, r.conn, &joinRequest{Node: settings.Node, Links: settings.Links, Version: version, Format: cluster.Format})
		if err == nil {
			return answer, nil
		}
		refused[r.member] = true
		errs = append(errs, fmt.Errorf("%s: %w", r.member, err))
	}
	if dials == 0 {
		return nil, errors.New("this node knows no other member to ask")
	}
	return nil, errors.Join(errs...)
}

// dialJoin connects for the join protocol.
func dialJoin(ctx context.Context, to netip.AddrPort, config *tls.Config) (*tls.Conn, error) {
	config = config.Clone()
	config.MinVersion = tls.VersionTLS13
	config.NextProtos = []string{stream.ProtocolJoin}
	dialer := tls.Dialer{Config: config, NetDialer: &net.Dialer{Timeout: 5 * time.Second}}
	conn, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), nil
}

// askToJoin makes one exchange of the join protocol, and closes conn.
func askToJoin(ctx context.Context, conn *tls.Conn, request *joinRequest) (*joinAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.NetConn().Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return nil, err
	}
	var answer joinAnswer
	if err := json.NewDecoder(io.LimitReader(conn, maxJoinAnswer)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("no answer: %w", errors.Join(err, ctx.Err()))
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return &answer, nil
}

// DefaultNode is the name that a node has unless another is given.
func DefaultNode() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
