package daemon

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
	"linuxha/internal/driver/keys"
	"linuxha/internal/driver/link"
)

// admit serves the join protocol: it has a node admitted by the cluster, then
// gives it what it needs.
func (d *Daemon) admit(conn *tls.Conn, peer string) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(joinTime))
	var request joinRequest
	answer := &joinAnswer{}
	err := json.NewDecoder(io.LimitReader(conn, maxJoinRequest)).Decode(&request)
	if errors.Is(err, io.EOF) {
		return // it asked another member
	}
	if err == nil {
		answer, err = d.admitNode(&request, peer, conn)
	}
	if err != nil {
		d.log.Warn("a node was not admitted", "node", request.Node, "from", conn.RemoteAddr().String(), "reason", err)
		answer = &joinAnswer{Error: err.Error()}
	}
	if err := json.NewEncoder(conn).Encode(answer); err != nil {
		d.log.Warn("the answer did not reach a joining node", "node", request.Node, "error", err)
	}
}

// leaderTime is how long a joining node waits for a member that knows no leader
// yet; one that joins again asks another meanwhile.
const leaderTime = 5 * time.Second

func (d *Daemon) admitNode(request *joinRequest, peer string, conn *tls.Conn) (*joinAnswer, error) {
	patience := leaderTime
	if request.Token == "" {
		patience /= 5
	}
	led := func(s *cluster.State, l *event.Local) bool { return s.Lineage.ID != "" && l != nil && l.Leader != "" }
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if !api.Await(ctx, d, led) {
		return nil, errors.New("this node knows no leader just now: ask another member, or try again")
	}
	state, _ := d.State()
	if err := keys.CheckName(request.Node); err != nil {
		return nil, err
	}
	links, err := link.ParseAddresses(request.Links)
	if err != nil {
		return nil, err
	}
	if len(links) == 0 || len(links) > heartbeat.MaxLinks {
		return nil, fmt.Errorf("a node has 1 to %d links, %d are given", heartbeat.MaxLinks, len(links))
	}
	admit := &cluster.Admit{Member: cluster.Member{
		Name: request.Node, RaftID: newRaftID(), Links: formatLinks(links), Version: request.Version, Format: request.Format, State: cluster.NodeOffline,
	}}
	answer := &joinAnswer{Cluster: state.Config.Name, Lineage: state.Lineage}
	switch {
	case request.Token != "":
		if err := d.newMember(request, addressesOf(links), state, admit, answer); err != nil {
			return nil, err
		}
	case peer == request.Node:
		known := state.Member(peer)
		if hash := keys.Hash(conn.ConnectionState().PeerCertificates[0]); known == nil || (known.CertHash != "" && known.CertHash != hash) {
			return nil, fmt.Errorf("%s is no member any more: 'ha token' on a member makes a token to join anew", peer)
		}
	default:
		return nil, errors.New("a node joins with a token, or with its own certificate")
	}
	admitted, err := d.commitAdmit(admit)
	if err != nil {
		return nil, err
	}
	answer.Admitted = *admitted
	state, local := d.State()
	answer.Lineage = state.Lineage
	// Its next incarnation must be newer than any that was heard, one of another
	// history too.
	for _, p := range local.Peers {
		if p.Node == request.Node {
			answer.Admitted.Incarnation.Counter = max(answer.Admitted.Incarnation.Counter, p.Counter)
		}
	}
	for _, m := range state.Members {
		answer.Members = append(answer.Members, cluster.Member{Name: m.Name, RaftID: m.RaftID, Links: m.Links, CertHash: m.CertHash})
	}
	d.log.Info("a node was admitted", "node", request.Node, "links", request.Links)
	return answer, nil
}

// commitAdmit has a node admitted and returns the member as committed. A member
// that catches up by a snapshot meanwhile gets no answer, but sees the outcome.
func (d *Daemon) commitAdmit(admit *cluster.Admit) (*cluster.Member, error) {
	ctx, cancel := context.WithTimeout(context.Background(), joinTime)
	defer cancel()
	replies := make(chan event.Reply, 1)
	go func() { // ends with ctx
		replies <- d.Request(ctx, event.Request{Commands: []cluster.Command{{Admit: admit}}, By: "join of " + admit.Member.Name})
	}()
	for {
		changed := d.Changed()
		state, _ := d.State()
		if m := state.Member(admit.Member.Name); m != nil && m.RaftID == admit.Member.RaftID {
			return m, nil
		}
		select {
		case <-changed:
		case reply := <-replies:
			switch {
			case reply.Err != nil:
				return nil, reply.Err
			case reply.Admitted != nil:
				return reply.Admitted, nil
			}
			return nil, errors.New("the cluster did not say as what it admitted the node")
		}
	}
}

// newMember checks a token and adds the cluster's secrets to the answer.
func (d *Daemon) newMember(request *joinRequest, addresses []netip.Addr, state *cluster.State, admit *cluster.Admit, answer *joinAnswer) error {
	token, err := keys.ParseToken(request.Token)
	if err != nil {
		return err
	}
	known := false
	for _, t := range state.Tokens {
		known = known || (t.Hash == token.Hash() && t.Expires.After(time.Now()))
	}
	if !known {
		return errors.New("the token is unknown, used or too old: 'ha token' on a member makes a new one")
	}
	if answer.Certificate, err = d.credentials.authority.Issue(request.Request, request.Node, addresses); err != nil {
		return err
	}
	certificate, err := keys.ReadCertificate(answer.Certificate)
	if err != nil {
		return err
	}
	admit.TokenHash, admit.Member.CertHash = token.Hash(), keys.Hash(certificate)
	answer.Ring = d.credentials.ring
	answer.Authority, answer.AuthorityKey, err = d.credentials.authority.PEM()
	return err
}
