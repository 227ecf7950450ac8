package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
	"linuxha/internal/driver/keys"
	"linuxha/internal/driver/link"
)

// Root is the directory below which all files of a node lie; "" is that of the
// host. Several nodes run on one host by different roots.
type Root string

func (r Root) path(parts ...string) string {
	return filepath.Join(append([]string{"/", string(r)}, parts...)...)
}

// Socket is where the daemon serves its API.
func (r Root) Socket() string { return api.SocketPath(string(r)) }

func (r Root) run() string            { return r.path("run/ha") }
func (r Root) settings() string       { return r.path("etc/ha/node.json") }
func (r Root) key(name string) string { return r.path("etc/ha/keys", name) }
func (r Root) state() string          { return r.path("var/lib/ha/state.db") }
func (r Root) members() string        { return r.path("var/lib/ha/members.json") }

// Log is the file that a daemon in the background writes to.
func (r Root) Log() string { return r.path("var/log/ha.log") }

// Names of the files with keys.
const (
	authorityCertificate = "authority.crt"
	authorityKey         = "authority.key"
	nodeCertificate      = "node.crt"
	nodeKey              = "node.key"
	clusterKeys          = "cluster.json"
)

// Settings are what only this host knows of its node. The file is written last
// in bring-up: a host without it belongs to no cluster.
type Settings struct {
	Cluster string   `json:"cluster"`
	Node    string   `json:"node"`
	Links   []string `json:"links"` // this node's address on each link
}

// ErrNoCluster says that the host belongs to no cluster yet.
var ErrNoCluster = errors.New("this host belongs to no cluster: 'ha init' makes a new one, 'ha join' adds the host to one")

// ReadSettings reads the node's settings.
func ReadSettings(root Root) (*Settings, error) {
	var s Settings
	switch err := readJSON(root.settings(), &s); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNoCluster
	case err != nil:
		return nil, err
	}
	if err := keys.CheckName(s.Node); err != nil {
		return nil, fmt.Errorf("%s: %w", root.settings(), err)
	}
	if _, err := link.ParseAddresses(s.Links); err != nil {
		return nil, fmt.Errorf("%s: %w", root.settings(), err)
	}
	return &s, nil
}

// credentials are the secrets of a node.
type credentials struct {
	identity  *keys.Identity
	authority *keys.Authority
	ring      *keys.Ring
}

func readCredentials(root Root) (*credentials, error) {
	var files [4][]byte
	for i, name := range []string{nodeCertificate, nodeKey, authorityCertificate, authorityKey} {
		data, err := os.ReadFile(root.key(name))
		if err != nil {
			return nil, fmt.Errorf("read the node's keys: %w", err)
		}
		files[i] = data
	}
	c := &credentials{ring: new(keys.Ring)}
	var err error
	if c.identity, err = keys.NewIdentity(files[0], files[1], files[2]); err != nil {
		return nil, err
	}
	if c.authority, err = keys.ReadAuthority(files[2], files[3]); err != nil {
		return nil, err
	}
	if err := readJSON(root.key(clusterKeys), c.ring); err != nil {
		return nil, err
	}
	return c, nil
}

// readMembers returns the members that the node knew last, none if it knew none.
func readMembers(root Root) ([]cluster.Member, error) {
	var members []cluster.Member
	if err := readJSON(root.members(), &members); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return members, nil
}

// writeMembers keeps names, Raft ids and addresses: whom to ask when the state
// is lost.
func writeMembers(root Root, members []cluster.Member) error {
	known := make([]cluster.Member, len(members))
	for i, m := range members {
		known[i] = cluster.Member{Name: m.Name, RaftID: m.RaftID, Links: m.Links, CertHash: m.CertHash}
	}
	return writeJSON(root.members(), known, 0o644)
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any, mode os.FileMode) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writeFile(path, append(data, '\n'), mode)
}

// writeFile replaces a file whole and durably.
func writeFile(path string, data []byte, mode os.FileMode) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// makeDirectories makes those that bring-up and daemon write to.
func makeDirectories(root Root) error {
	for path, mode := range map[string]os.FileMode{
		filepath.Dir(root.settings()): 0o755, filepath.Dir(root.key("")): 0o755, root.key(""): 0o700,
		filepath.Dir(root.state()): 0o700, root.run(): 0o755, filepath.Dir(root.Log()): 0o755,
	} {
		if err := os.MkdirAll(path, mode); err != nil {
			return fmt.Errorf("make the node's directories: %w", err)
		}
	}
	return os.Chmod(root.key(""), 0o700)
}
