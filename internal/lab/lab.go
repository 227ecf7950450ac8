// Package lab makes real hosts on one machine: each has network, mount, process,
// host name and control group namespaces, directories, a boot id and a power
// switch of its own. Demonstration, training, tests and measurements run on it.
//
// One process a lab, the power supervisor, owns everything. It is the init
// process of a process namespace and lives in the lab's switch, a network
// namespace with one bridge for each link, so that nothing shows in the
// machine's own network and nothing outlives the supervisor. A host is a child
// of it: an init process (host.go, root.go) that mounts the host's root and runs
// what is asked of it. The command line talks to the supervisor and to the
// hosts' inits by unix sockets in the lab's directory.
package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// Limits of a lab.
const (
	MaxNodes = 64
	MaxLinks = 8
)

// Client is the name of the host without a node: it is on the first link only,
// and what it measures is what a client of the cluster would see.
const Client = "client"

const clientNumber = 254

// Names by which the binary is started inside a lab; see Faces.
const (
	faceSupervisor   = "ha-lab-power"
	faceInit         = "ha-lab-init"
	faceFence        = "fence_lab"
	faceProbe        = "ha-lab-probe"
	faceServer       = "ha-lab-server"
	faceKill         = "ha-lab-kill"
	faceLedger       = "ha-lab-ledger"
	faceWriter       = "ha-lab-writer"
	faceAddressWatch = "ha-lab-address"
	faceHypervisor   = "ha-lab-hypervisor"
	faceGuest        = "ha-lab-guest"
)

// Faces maps the names (argv[0]) under which the binary does the lab's inner
// work to that work. The functions take all of argv and return the exit code.
func Faces() map[string]func(args []string) int {
	return map[string]func([]string) int{
		faceSupervisor:   superviseMain,
		faceInit:         initMain,
		faceFence:        fenceMain,
		faceProbe:        probeMain,
		faceServer:       serverMain,
		faceKill:         killMain,
		faceLedger:       ledgerMain,
		faceWriter:       writerMain,
		faceAddressWatch: addressWatchMain,
		faceHypervisor:   hypervisorMain,
		faceGuest:        guestMain,
	}
}

// Spec is what a lab is made from.
type Spec struct {
	Name  string `json:"name"`
	Nodes int    `json:"nodes"`
	Links int    `json:"links"`
	// Watchdog: what a cluster made here relies on instead of a fence device.
	Watchdog bool `json:"watchdog,omitempty"`
	// Witness: the last node of a cluster made here votes and runs nothing.
	Witness bool `json:"witness,omitempty"`
	// Temporary: it ends with the process that made it, however that ends, and
	// leaves nothing.
	Temporary bool `json:"temporary,omitempty"`
}

var labName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
})

// Validate returns an error that names the first wrong field.
func (s Spec) Validate() error {
	switch {
	case !labName().MatchString(s.Name):
		return fmt.Errorf("lab name %q: use up to 32 lower-case letters, digits and dashes", s.Name)
	case s.Nodes < 1 || s.Nodes > MaxNodes:
		return fmt.Errorf("%d nodes: a lab has 1 to %d", s.Nodes, MaxNodes)
	case s.Links < 1 || s.Links > MaxLinks:
		return fmt.Errorf("%d links: a lab has 1 to %d", s.Links, MaxLinks)
	case s.Watchdog && s.Nodes < 3:
		return fmt.Errorf("%d nodes with watchdogs alone: they need a majority that outlives one node, so three or more; of two, fencing is the vote", s.Nodes)
	case s.Witness && s.Nodes < 3:
		return fmt.Errorf("%d nodes, one of them a witness: it decides between two others, so there must be three or more", s.Nodes)
	}
	return nil
}

// setUp says in words what a cluster made here relies on.
func (s Spec) setUp() string {
	text := "power"
	if s.Watchdog {
		text = "watchdog"
	}
	if s.Witness {
		text += ", witness"
	}
	return text
}

// hosts lists the lab's hosts, the nodes first.
func (s Spec) hosts() []hostID {
	var hosts []hostID
	for n := 1; n <= s.Nodes; n++ {
		hosts = append(hosts, hostID{Name: NodeName(n), Number: n, Links: s.Links})
	}
	return append(hosts, hostID{Name: Client, Number: clientNumber, Links: 1})
}

// NodeName is the name of node n, counted from 1.
func NodeName(n int) string { return "host" + strconv.Itoa(n) }

// Address is the address of node n on a link, both counted from 1.
func Address(n, link int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, byte(link), byte(n)}) }

// hostID says which host of its lab a host is.
type hostID struct {
	Name   string `json:"name"`
	Number int    `json:"number"` // last byte of its addresses
	Links  int    `json:"links"`  // it is on links 1 to Links
}

func (h hostID) node() bool { return h.Name != Client }

// prefix4 and prefix6 are the host's addresses on a link.
func (h hostID) prefix4(link int) netip.Prefix {
	return netip.PrefixFrom(Address(h.Number, link), 24)
}

func (h hostID) prefix6(link int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 3: 0x77, 7: byte(link), 15: byte(h.Number)}), 64)
}

// mac is the host's hardware address on a link. It stays the same over reboots,
// as that of a real network card does.
func (h hostID) mac(link int) [6]byte { return [6]byte{2, 0x77, 0, 0, byte(link), byte(h.Number)} }

// The files of a lab, below its directory.
type directory string

func (d directory) spec() string       { return filepath.Join(string(d), "lab.json") }
func (d directory) lock() string       { return filepath.Join(string(d), "lock") } // see abandoned.go
func (d directory) binary() string     { return filepath.Join(string(d), "ha") }
func (d directory) control() string    { return filepath.Join(string(d), "control") }
func (d directory) power() string      { return filepath.Join(string(d), "power") }  // directory, bound into each host
func (d directory) shared() string     { return filepath.Join(string(d), "shared") } // the disk that all hosts share
func (d directory) log() string        { return filepath.Join(string(d), "log") }
func (d directory) cgroupFile() string { return filepath.Join(string(d), "cgroup") } // holds the path of the lab's control group
func (d directory) host(name string) hostDirectory {
	return hostDirectory(filepath.Join(string(d), "hosts", name))
}

// The files of a host. They are its disk: they stay over power cuts.
type hostDirectory string

func (d hostDirectory) socket() string   { return filepath.Join(string(d), "init") }
func (d hostDirectory) watchdog() string { return filepath.Join(string(d), "watchdog") }
func (d hostDirectory) sub(parts ...string) string {
	return filepath.Join(append([]string{string(d)}, parts...)...)
}

// Directory is where the lab of that name keeps its files: below $HA_LAB_DIR,
// else /var/tmp, which is on a disk where /tmp may not be. Labs of different
// users do not meet.
func Directory(name string) string {
	base := os.Getenv("HA_LAB_DIR")
	if base == "" {
		base = "/var/tmp"
	}
	if uid := os.Getuid(); uid != 0 {
		name = strconv.Itoa(uid) + "-" + name
	}
	return filepath.Join(base, "ha-lab-"+name)
}

// Lab is a lab that stands, or that stood and was left half-way.
type Lab struct {
	Spec     Spec
	dir      directory
	lifeline *os.File // of a temporary lab: it ends when this is closed
}

// Open finds the lab of that name.
func Open(name string) (*Lab, error) {
	if !labName().MatchString(name) {
		return nil, fmt.Errorf("lab name %q: use up to 32 lower-case letters, digits and dashes", name)
	}
	dir := directory(Directory(name))
	if _, err := os.Lstat(string(dir)); err == nil && !ownedByCaller(string(dir)) {
		return nil, fmt.Errorf("lab %q in %s belongs to somebody else: choose another --name", name, dir)
	}
	if _, err := os.Lstat(string(dir)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no lab %q: make one by 'ha lab up --name %s'", name, name)
	}
	lab := &Lab{Spec: Spec{Name: name}, dir: dir}
	text, err := os.ReadFile(dir.spec())
	if errors.Is(err, fs.ErrNotExist) {
		return lab, nil // its making ended here; it can be taken down
	}
	if err != nil {
		return nil, fmt.Errorf("open lab %q: %w", name, err)
	}
	if err := json.Unmarshal(text, &lab.Spec); err != nil {
		return nil, fmt.Errorf("read %s: %w", dir.spec(), err)
	}
	return lab, nil
}

// Dir is the lab's directory.
func (l *Lab) Dir() string { return string(l.dir) }

// HostDir returns the directory below which a host keeps its disk, as the
// machine sees it; HostDir("host1", "ha") is the host's /var/lib/ha.
func (l *Lab) HostDir(host string, parts ...string) string { return l.dir.host(host).sub(parts...) }

// Nodes lists the names of the lab's nodes.
func (l *Lab) Nodes() []string {
	var names []string
	for n := 1; n <= l.Spec.Nodes; n++ {
		names = append(names, NodeName(n))
	}
	return names
}

// checkDirectory refuses directories that the mounts or sockets of a lab cannot
// be made in.
func checkDirectory(dir directory) error {
	if strings.ContainsAny(string(dir), ",:\\\n") {
		return fmt.Errorf("lab directory %s: its path must be without comma, colon and backslash", dir)
	}
	// A unix socket's path has at most 107 bytes.
	if longest := len(dir.host("host64").watchdog()); longest > 107 {
		return fmt.Errorf("lab directory %s: its path is %d bytes too long", dir, longest-107)
	}
	return nil
}
