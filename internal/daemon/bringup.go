package daemon

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core"
	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
	"linuxha/internal/driver/keys"
	"linuxha/internal/driver/link"
	"linuxha/internal/driver/store"
)

// DefaultPort is the port of a node, for UDP and TCP, unless said otherwise.
const DefaultPort = link.DefaultPort

// InputError is what is wrong with what a person typed; nothing was changed.
type InputError struct{ Err error }

func (e *InputError) Error() string { return e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }

func badInput(format string, args ...any) error { return &InputError{fmt.Errorf(format, args...)} }

// InitOptions describe a new cluster and its first node.
type InitOptions struct {
	Cluster   string
	Node      string
	Links     []string // this host's address on each link
	Port      uint16   // where an address has none
	Version   string
	Detection cluster.Detection
}

// Init makes a new cluster of which this host is the first node, and invites
// the next. Nothing is started.
func Init(root Root, o InitOptions) (*Invitation, error) {
	if strings.TrimSpace(o.Cluster) == "" {
		return nil, badInput("the cluster needs a name: --name web")
	}
	links, err := parseLinks(o.Links, o.Port)
	if err != nil {
		return nil, err
	}
	if err := checkBringUp(root, o.Node, links); err != nil {
		return nil, err
	}
	authority, err := keys.NewAuthority(o.Cluster)
	if err != nil {
		return nil, err
	}
	key, request, err := keys.NewNodeKey(o.Node)
	if err != nil {
		return nil, err
	}
	certificate, err := authority.Issue(request, o.Node, addressesOf(links))
	if err != nil {
		return nil, err
	}
	node, err := newNode(certificate, key)
	if err != nil {
		return nil, err
	}
	invitation := invite(authority, links[0], TokenValid)
	lineage := cluster.Lineage{ID: randomHex()}
	first := cluster.Member{Name: o.Node, RaftID: newRaftID(), Links: formatLinks(links), CertHash: node.hash, Version: o.Version, Format: cluster.Format}
	entry := &cluster.Entry{Time: time.Now().UTC(), Commands: []cluster.Command{
		{Init: &cluster.Init{Lineage: lineage, First: first, Config: cluster.Config{Name: o.Cluster, Detection: o.Detection}}},
		invitation.Command,
	}}
	identity := event.Identity{Node: o.Node, RaftID: first.RaftID, Lineage: lineage, Machine: machineID()}
	batch, err := core.Bootstrap(identity, entry)
	if err != nil {
		return nil, err
	}
	return invitation, install(root, &bringUp{
		settings: Settings{Cluster: o.Cluster, Node: o.Node, Links: first.Links},
		node:     node, authority: authority, ring: keys.NewRing(), batch: batch, members: []cluster.Member{first},
	})
}

// bringUp is all that makes a host a node.
type bringUp struct {
	settings  Settings
	node      *nodeFiles
	authority *keys.Authority
	ring      *keys.Ring
	batch     *event.Persist // the first thing in the store
	members   []cluster.Member
}

// nodeFiles are a node's certificate and key as they are kept.
type nodeFiles struct {
	certificate, key []byte
	hash             string
}

func newNode(certificate []byte, key *keys.NodeKey) (*nodeFiles, error) {
	parsed, err := keys.ReadCertificate(certificate)
	if err != nil {
		return nil, err
	}
	stored, err := key.PEM()
	if err != nil {
		return nil, err
	}
	return &nodeFiles{certificate: certificate, key: stored, hash: keys.Hash(parsed)}, nil
}

// install writes the files of a node, the settings last.
func install(root Root, b *bringUp) error {
	if err := makeDirectories(root); err != nil {
		return err
	}
	certificate, key, err := b.authority.PEM()
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		authorityCertificate: certificate, authorityKey: key, nodeCertificate: b.node.certificate, nodeKey: b.node.key,
	} {
		if err := writeFile(root.key(name), data, 0o600); err != nil {
			return err
		}
	}
	if err := writeJSON(root.key(clusterKeys), b.ring, 0o600); err != nil {
		return err
	}
	// Without settings, state is what a bring-up that did not end has left.
	if err := os.Remove(root.state()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove state of an unfinished bring-up: %w", err)
	}
	s, _, err := store.Open(root.state())
	if err != nil {
		return err
	}
	if err := errors.Join(s.Save(b.batch), s.Close()); err != nil {
		return err
	}
	if err := writeMembers(root, b.members); err != nil {
		return err
	}
	return writeJSON(root.settings(), b.settings, 0o644)
}

// parseLinks reads addresses that a person typed.
func parseLinks(texts []string, port uint16) ([]netip.AddrPort, error) {
	out := make([]netip.AddrPort, len(texts))
	for i, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil {
			out[i] = netip.AddrPortFrom(address.Unmap(), port)
			continue
		}
		var err error
		if out[i], err = link.ParseAddress(text); err != nil {
			return nil, badInput("--link: %w", err)
		}
	}
	return out, nil
}

// checkBringUp refuses what cannot become a node, before anything is changed.
func checkBringUp(root Root, node string, links []netip.AddrPort) error {
	settings, err := ReadSettings(root)
	switch {
	case err == nil:
		return fmt.Errorf("this host is node %s of cluster %s already (%s)", settings.Node, settings.Cluster, root.settings())
	case !errors.Is(err, ErrNoCluster):
		return err
	}
	if err := keys.CheckName(node); err != nil {
		return &InputError{err}
	}
	if len(links) == 0 || len(links) > heartbeat.MaxLinks {
		return badInput("a node has 1 to %d links, %d are given: --link ADDRESS for each", heartbeat.MaxLinks, len(links))
	}
	for i, address := range links {
		for j := range i {
			if links[j].Addr() == address.Addr() {
				return badInput("links %d and %d have one address, %s: each link is a network of its own", j, i, address.Addr())
			}
		}
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
		if err != nil {
			return badInput("link %d: this host cannot use %s: %w%s", i, address, err, hint(err))
		}
		conn.Close()
	}
	return nil
}

// hint says what to do about an address that cannot be used.
func hint(err error) string {
	if errors.Is(err, syscall.EADDRINUSE) {
		return "; another program has the port: give another one with --port"
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	var texts []string
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && !prefix.Addr().IsLoopback() && !prefix.Addr().IsLinkLocalUnicast() {
			texts = append(texts, prefix.Addr().String())
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return "; its addresses are " + strings.Join(texts, ", ")
}

func addressesOf(links []netip.AddrPort) []netip.Addr {
	out := make([]netip.Addr, len(links))
	for i, l := range links {
		out[i] = l.Addr()
	}
	return out
}

func formatLinks(links []netip.AddrPort) []string {
	out := make([]string, len(links))
	for i, l := range links {
		out[i] = link.FormatAddress(l)
	}
	return out
}

// newRaftID draws an id that no node has had (rule 5).
func newRaftID() uint64 {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails
		if id := binary.BigEndian.Uint64(b[:]) >> 1; id != 0 {
			return id
		}
	}
}

func randomHex() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
