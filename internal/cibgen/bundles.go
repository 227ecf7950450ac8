package cibgen

import "strconv"

// bundleSpec is what a bundle's replicas have in common.
type bundleSpec struct {
	technology string // docker or podman
	replicas   int
	addresses  []string // of the replicas, if they have any
	port       string   // in the configuration; "" for the usual one
	promoted   bool     // the content is promotable
	published  bool     // ports and files besides are mapped
}

func (g *generator) bundle() {
	e := el("bundle", "id", g.id("bundle"))
	b := &bundleSpec{technology: "docker", replicas: 1 + g.IntN(3), port: "9999"}
	if g.maybe(25, "podman") {
		b.technology = "podman"
	}
	promoted := ""
	inner := g.chance(65)
	if inner && g.chance(40) {
		promoted, b.promoted = "1", true
		g.feature("promotable-bundle")
	}
	t := &topSpec{id: e.Attr("id"), kind: "bundle", bundle: b}
	e.add(el(b.technology, "image", "x:latest", "replicas", strconv.Itoa(b.replicas), "promoted-max", promoted))
	network := el("network")
	if g.chance(60) {
		network.Attrs = append(network.Attrs, Attr{"ip-range-start", "192.168.122.131"})
		for i := range b.replicas {
			b.addresses = append(b.addresses, "192.168.122."+strconv.Itoa(131+i))
		}
		if g.maybe(15, "bundle-usual-port") {
			b.port = ""
		}
	}
	if b.port != "" {
		network.Attrs = append(network.Attrs, Attr{"control-port", b.port})
	}
	e.add(network)
	if g.maybe(15, "bundle-mappings") {
		b.published = true
		network.add(el("port-mapping", "id", g.id("port"), "port", "80"))
		e.add(el("storage").add(el("storage-mapping", "id", g.id("files"), "source-dir", "/srv", "target-dir", "/data", "options", "rw")))
	}
	if g.maybe(10, "bundle-meta") {
		e.addBlock(g.pairs("meta_attributes", [][2]string{pick(g, [][2]string{{"target-role", "Stopped"}, {"priority", "4"}, {"is-managed", "false"}, {"resource-stickiness", "50"}})}))
	}
	if inner {
		// Constraints on a template mean what is inside bundles too, which
		// crm_simulate 2.1.5 does not look for there.
		templates := g.templates
		g.templates = nil
		p := g.dummy(promoted != "")
		g.templates = templates
		if g.maybe(12, "notify-in-bundle") {
			p.element.add(g.pairs("meta_attributes", [][2]string{{"notify", "true"}}))
		}
		e.add(p.element)
		t.members = []*primSpec{p}
	}
	g.top(e, t)
}

// connectionSpec is the connection that a guest or a bundle's replica implies.
func connectionSpec(name, address, port string) *primSpec {
	p := &primSpec{id: name, class: "ocf", provider: "pacemaker", kind: "remote", remote: true,
		params: [][2]string{{"addr", address}}, monitors: []monitorSpec{{interval: 30, timeout: 30}}}
	if port != "" {
		p.params = append(p.params, [2]string{"port", port})
	}
	return p
}

// connectionPort is where the replicas' nodes listen.
func (b *bundleSpec) connectionPort() string {
	if b.port == "" {
		return "3121"
	}
	return b.port
}

// containerSpec is the container of a bundle's i-th replica, with the parameters
// that Pacemaker generates for it.
func (t *topSpec) containerSpec(i int) *primSpec {
	b := t.bundle
	name := t.id + "-" + strconv.Itoa(i)
	options := ""
	if b.technology == "docker" {
		options += " --restart=no"
	}
	if b.addresses != nil {
		options += " -h " + name
	}
	options += " -e PCMK_stderr=1 -e PCMK_remote_port=" + b.connectionPort()
	params := [][2]string{{"image", "x:latest"}, {"allow_pull", "true"}, {"force_kill", "false"}, {"reuse", "false"}, {"monitor_cmd", "/bin/true"}}
	publish := func(port string) {
		options += " -p "
		if b.addresses != nil {
			options += b.addresses[i] + ":"
		}
		options += port + ":" + port
	}
	if b.published {
		options += " -v /srv:/data:rw"
	}
	if len(t.members) > 0 {
		options += " -v /etc/pacemaker/authkey:/etc/pacemaker/authkey -v /var/log/pacemaker/bundles/" + name + ":/var/log"
		params = append(params, [2]string{"mount_points", "/var/log/pacemaker/bundles/" + name}, [2]string{"run_cmd", "/usr/sbin/pacemaker-remoted"})
	} else {
		params = append(params, [2]string{"mount_points", ""})
	}
	if b.published {
		publish("80")
	}
	if len(t.members) > 0 {
		publish(b.connectionPort())
	}
	options += " "
	for j, address := range b.addresses {
		options += " --add-host=" + t.id + "-" + strconv.Itoa(j) + ":" + address
	}
	return &primSpec{id: t.id + "-" + b.technology + "-" + strconv.Itoa(i), class: "ocf", provider: "heartbeat", kind: b.technology,
		params: append(params, [2]string{"run_opts", options}), monitors: []monitorSpec{{interval: 60}}}
}

// addressSpec is the address of a bundle's i-th replica.
func (t *topSpec) addressSpec(i int) *primSpec {
	address := t.bundle.addresses[i]
	return &primSpec{id: t.id + "-ip-" + address, class: "ocf", provider: "heartbeat", kind: "IPaddr2",
		params: [][2]string{{"ip", address}, {"cidr_netmask", "32"}}, monitors: []monitorSpec{{interval: 60}}}
}
