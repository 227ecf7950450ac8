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

// stateTime is how long a joining node waits for a member that has just started.
const stateTime = 5 * time.Second

// awaitState returns the applied state once there is one, nil after limit.
func (d *Daemon) awaitState(limit time.Duration) *cluster.State {
	late := time.After(limit)
	for {
		changed := d.Changed()
		if state, _ := d.State(); state.Lineage.ID != "" {
			return state
		}
		select {
		case <-changed:
		case <-late:
			return nil
		}
	}
}

func (d *Daemon) admitNode(request *joinRequest, peer string, conn *tls.Conn) (*joinAnswer, error) {
	state := d.awaitState(stateTime)
	if state == nil {
		return nil, errors.New("this node has no state yet: ask another member, or try again")
	}
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
		Name: request.Node, RaftID: newRaftID(), Links: formatLinks(links), Version: request.Version, State: cluster.NodeOffline,
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
	ctx, cancel := context.WithTimeout(context.Background(), joinTime)
	defer cancel()
	reply := d.Request(ctx, event.Request{Commands: []cluster.Command{{Admit: admit}}, By: "join of " + request.Node})
	if reply.Err != nil {
		return nil, reply.Err
	}
	answer.Admitted = admit.Member
	if reply.Admitted != nil {
		answer.Admitted = *reply.Admitted
	}
	state, _ = d.State()
	for _, m := range state.Members {
		answer.Members = append(answer.Members, cluster.Member{Name: m.Name, RaftID: m.RaftID, Links: m.Links, CertHash: m.CertHash})
	}
	d.log.Info("a node was admitted", "node", request.Node, "links", request.Links)
	return answer, nil
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
