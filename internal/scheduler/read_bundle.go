package scheduler

import (
	"strconv"
	"strings"

	"linuxha/internal/cluster"
)

// readBundle creates the containers, addresses, connections and inner instances
// of a bundle (SEMANTICS 29).
func (rn *run) readBundle(r *resource) bool {
	spec := r.config.Bundle
	if spec == nil || spec.Engine == "" {
		rn.warn("bundle " + r.id + " has no container and is ignored")
		return false
	}
	b := &bundleData{spec: spec}
	r.bundle = b
	b.promotedMax = int(intOr(spec.PromotedMax, 0, 0))
	defaultReplicas := int64(1)
	if b.promotedMax > 0 {
		defaultReplicas = int64(b.promotedMax)
	}
	replicas := int(intOr(spec.Replicas, defaultReplicas, 1))
	b.perHost = int(intOr(spec.ReplicasPerHost, 1, 1))
	hasChild := len(r.config.Children) > 0
	if hasChild && spec.IPRangeStart == "" && spec.ControlPort != "" {
		b.perHost = 1 // two on one host could not listen on the same port
	}
	r.unique = b.perHost > 1
	if hasChild {
		if spec.IPRangeStart == "" && spec.ControlPort == "" {
			rn.warn("bundle " + r.id + " has neither addresses nor a control port to reach what is inside, and is ignored")
			return false
		}
		inner := rn.readResource(innerClone(r.config, b, replicas), r, "", nil)
		if inner == nil {
			return false
		}
		b.inner = inner
		r.children = []*resource{inner}
		r.promotable = inner.promotable
		inner.notify = inner.children[0].notify
	}
	address := spec.IPRangeStart
	for i := range replicas {
		rep := &replica{number: i, addr: address}
		if address != "" {
			address = nextAddress(address)
		}
		if hasChild && i < len(b.inner.children) {
			rep.child = b.inner.children[i]
		}
		b.replicas = append(b.replicas, rep)
	}
	for _, rep := range b.replicas {
		rn.readReplica(r, rep)
	}
	return true
}

// innerClone is the configuration of the clone that a bundle implies for the
// primitive inside it.
func innerClone(c *cluster.Resource, b *bundleData, replicas int) *cluster.Resource {
	pairs := []cluster.NVPair{
		{Name: "ordered", Value: "true"},
		{Name: "clone-max", Value: itoa(replicas)},
		{Name: "clone-node-max", Value: itoa(b.perHost)},
		{Name: "globally-unique", Value: strconv.FormatBool(b.perHost > 1)},
	}
	id := c.ID + "-clone"
	if b.promotedMax > 0 {
		id = c.ID + "-master"
		pairs = append(pairs, cluster.NVPair{Name: "promotable", Value: "true"},
			cluster.NVPair{Name: "promoted-max", Value: itoa(b.promotedMax)})
	}
	return &cluster.Resource{ID: id, Kind: cluster.Clone, Meta: []cluster.AttrSet{{Pairs: pairs}}, Children: c.Children[:1]}
}

// readReplica creates what one replica consists of beside the inner instance.
func (rn *run) readReplica(r *resource, rep *replica) {
	b := r.bundle
	number := itoa(rep.number)
	if rep.addr != "" {
		rep.address = rn.readResource(addressConfig(r.id, b.spec, rep), r, "", nil)
	}
	rep.container = rn.readResource(rn.containerConfig(r, rep), r, "", nil)
	rep.container.isReplica = true
	if rep.child == nil {
		return
	}
	rep.container.utilization = rep.child.utilization
	rep.child.utilization = nil

	name := r.id + "-" + number
	id := name
	if rn.byID[id] != nil {
		id = r.id + "-remote-" + number
	}
	g := guest{name: id, container: rep.container.id, address: rep.addr, port: "3121"}
	if g.address == "" {
		g.address = "#uname"
	}
	if b.spec.ControlPort != "" {
		g.port = b.spec.ControlPort
	}
	before := 0
	if rn.node(name) != nil {
		before = len(rn.all)
	}
	rep.connection = rn.readResource(connectionConfig(g), r, "", nil)
	rep.node = rn.connectedNode(name, cluster.NodeBundle)
	rep.node.readBefore = before
	rep.node.score = -infinity
	rep.node.connection = rep.connection
	rep.connection.remoteName = name
}

func addressConfig(bundle string, spec *cluster.BundleSpec, rep *replica) *cluster.Resource {
	params := []cluster.NVPair{{Name: "ip", Value: rep.addr}}
	if spec.HostInterface != "" {
		params = append(params, cluster.NVPair{Name: "nic", Value: spec.HostInterface})
	}
	netmask := spec.HostNetmask
	if netmask == "" {
		netmask = "32"
	}
	params = append(params, cluster.NVPair{Name: "cidr_netmask", Value: netmask})
	return &cluster.Resource{
		ID: bundle + "-ip-" + strings.ReplaceAll(rep.addr, ":", "."), Kind: cluster.Primitive,
		Agent:      cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "IPaddr2"},
		Params:     []cluster.AttrSet{{Pairs: params}},
		Operations: []cluster.Operation{{Name: "monitor", Interval: "60s"}},
	}
}

func (rn *run) containerConfig(r *resource, rep *replica) *cluster.Resource {
	spec := r.bundle.spec
	inside := rep.child != nil
	options, mountPoints := containerOptions(r, rep)
	params := []cluster.NVPair{
		{Name: "image", Value: spec.Image}, {Name: "allow_pull", Value: "true"},
		{Name: "force_kill", Value: "false"}, {Name: "reuse", Value: "false"},
		{Name: "run_opts", Value: options}, {Name: "mount_points", Value: mountPoints},
	}
	switch {
	case spec.RunCommand != "":
		params = append(params, cluster.NVPair{Name: "run_cmd", Value: spec.RunCommand})
	case inside:
		params = append(params, cluster.NVPair{Name: "run_cmd", Value: "/usr/sbin/pacemaker-remoted"})
	}
	params = append(params, cluster.NVPair{Name: "monitor_cmd", Value: "/bin/true"})
	return &cluster.Resource{
		ID: r.id + "-" + spec.Engine + "-" + itoa(rep.number), Kind: cluster.Primitive,
		Agent:      cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: spec.Engine},
		Params:     []cluster.AttrSet{{Pairs: params}},
		Operations: []cluster.Operation{{Name: "monitor", Interval: "60s"}},
	}
}

// containerOptions builds the agent parameters run_opts and mount_points.
func containerOptions(r *resource, rep *replica) (options, mountPoints string) {
	spec := r.bundle.spec
	inside := rep.child != nil
	var b strings.Builder
	var mounts []string
	if spec.Engine == "docker" {
		b.WriteString(" --restart=no")
	}
	if spec.IPRangeStart != "" {
		b.WriteString(" -h " + r.id + "-" + itoa(rep.number))
	}
	b.WriteString(" -e PCMK_stderr=1")
	if spec.Network != "" {
		b.WriteString(" --net=" + spec.Network)
	}
	port := spec.ControlPort
	if port == "" {
		port = "3121"
	}
	b.WriteString(" -e PCMK_remote_port=" + port)
	for _, m := range bundleMounts(r, inside) {
		source := m.Source
		if m.SourceRoot != "" {
			source = m.SourceRoot + "/" + r.id + "-" + itoa(rep.number)
			mounts = append(mounts, source)
		}
		b.WriteString(" -v " + source + ":" + m.Target)
		if m.Options != "" {
			b.WriteString(":" + m.Options)
		}
	}
	for _, p := range bundlePorts(spec, inside, port) {
		switch {
		case rep.addr != "":
			b.WriteString(" -p " + rep.addr + ":" + p.Port + ":" + p.InternalPort)
		case spec.Network != "host":
			b.WriteString(" -p " + p.Port + ":" + p.InternalPort)
		}
	}
	if spec.Options != nil {
		b.WriteString(" " + *spec.Options)
	}
	b.WriteString(" ")
	for _, other := range r.bundle.replicas {
		if other.addr == "" {
			continue
		}
		name := r.id + "-" + itoa(other.number)
		if boolOr(spec.AddHost, true) {
			b.WriteString(" --add-host=" + name + ":" + other.addr)
		} else {
			b.WriteString(" --hosts-entry=" + other.addr + "=" + name)
		}
	}
	return b.String(), strings.Join(mounts, ",")
}

// bundleMounts are the storage mappings and those implied for what is inside.
func bundleMounts(r *resource, inside bool) []cluster.StorageMapping {
	mounts := append([]cluster.StorageMapping(nil), r.bundle.spec.Storage...)
	if !inside {
		return mounts
	}
	mounts = append(mounts, cluster.StorageMapping{Source: "/etc/pacemaker/authkey", Target: "/etc/pacemaker/authkey"})
	for _, m := range mounts {
		if m.Target == "/var/log" {
			return mounts
		}
	}
	return append(mounts, cluster.StorageMapping{SourceRoot: "/var/log/pacemaker/bundles", Target: "/var/log"})
}

func bundlePorts(spec *cluster.BundleSpec, inside bool, control string) []cluster.PortMapping {
	var ports []cluster.PortMapping
	for _, p := range spec.Ports {
		switch {
		case p.Port == "":
			p.Port, p.InternalPort = p.Range, p.Range
		case p.InternalPort == "":
			p.InternalPort = p.Port
		}
		ports = append(ports, p)
	}
	if inside {
		ports = append(ports, cluster.PortMapping{Port: control, InternalPort: control})
	}
	return ports
}

// nextAddress counts an IPv4 address up: the last octet to 254, then the third.
// "" where there is none.
func nextAddress(address string) string {
	parts := strings.Split(address, ".")
	if len(parts) != 4 {
		return ""
	}
	var octets [4]int64
	for i, p := range parts {
		octets[i] = intOr(p, -1, 0)
		if octets[i] < 0 || octets[i] > 255 {
			return ""
		}
	}
	switch {
	case octets[3] < 254:
		octets[3]++
	case octets[2] < 253:
		octets[2]++
		octets[3] = 1
	default:
		return ""
	}
	for i := range octets {
		parts[i] = strconv.FormatInt(octets[i], 10)
	}
	return strings.Join(parts, ".")
}
