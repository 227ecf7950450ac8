package pacemaker

import (
	"slices"

	"linuxha/internal/cluster"
)

func (r *reader) resources(e *element) {
	r.config.Resources = slices.Grow(r.config.Resources, r.doc.count(e))
	for c := range r.doc.children(e) {
		switch c.name {
		case "template":
			if t, ok := r.resource(c); ok {
				r.config.Templates = append(r.config.Templates, t)
			}
		case "primitive", "group", "clone", "master", "bundle":
			if res, ok := r.resource(c); ok {
				r.config.Resources = append(r.config.Resources, res)
			}
		default:
			r.unknownElement(e, c)
		}
	}
}

// resource reads one resource or template with all inside it; false if it has
// no id, which nothing could be done with.
func (r *reader) resource(e *element) (cluster.Resource, bool) {
	res := cluster.Resource{}
	own := kindResource
	switch e.name {
	case "primitive":
		res.Kind = cluster.Primitive
		if r.doc.attr(e, "class") == "stonith" {
			own |= kindDevice
		}
	case "template":
		res.Kind = cluster.Primitive
		own = kindTemplate
	case "group":
		res.Kind = cluster.Group
	case "clone", "master":
		res.Kind = cluster.Clone
		res.LegacyPromotable = e.name == "master"
	case "bundle":
		res.Kind = cluster.Bundle
	}
	if r.doc.attr(e, "id") == "" {
		r.fatal = append(r.fatal, fault{e.pos, "<" + e.name + "> without id"})
		return res, false
	}
	res.ID = r.id(e, own)
	agent := e.name == "primitive" || e.name == "template"
	for a := range r.doc.attributes(e) {
		switch {
		case a.name == "id":
		case a.name == "description":
			res.Description = a.value
		case agent && a.name == "class":
			res.Agent.Class = a.value
		case agent && a.name == "provider":
			res.Agent.Provider = a.value
		case agent && a.name == "type":
			res.Agent.Type = a.value
		case e.name == "primitive" && a.name == "template":
			res.Template = a.value
			r.refer(a.pos, a.value, kindTemplate, "primitive", res.ID)
		default:
			r.unknownAttr(e, a)
		}
	}
	if agent && res.Template == "" && (res.Agent.Class == "" || res.Agent.Type == "") {
		r.fault(e.pos, "<%s> %s without class or type of its agent", e.name, res.ID)
	}
	for c := range r.doc.children(e) {
		switch {
		case c.name == "meta_attributes":
			res.Meta = append(res.Meta, r.attrSet(c, metaSpelling))
		case c.name == "instance_attributes":
			res.Params = append(res.Params, r.attrSet(c, nil))
		case agent && c.name == "utilization":
			res.Utilization = append(res.Utilization, r.attrSet(c, nil))
		case agent && c.name == "operations":
			r.operations(c, &res)
		case e.name == "bundle" && (c.name == "docker" || c.name == "podman" || c.name == "rkt"):
			r.engine(c, &res)
		case e.name == "bundle" && c.name == "network":
			r.network(c, bundleSpec(&res))
		case e.name == "bundle" && c.name == "storage":
			r.storage(c, bundleSpec(&res))
		case mayContain(e.name, c.name):
			if child, ok := r.resource(c); ok {
				res.Children = append(res.Children, child)
			}
		default:
			r.unknownElement(e, c)
		}
	}
	r.checkChildren(e, &res)
	return res, true
}

func mayContain(parent, child string) bool {
	switch parent {
	case "group", "bundle":
		return child == "primitive"
	case "clone", "master":
		return child == "primitive" || child == "group"
	}
	return false
}

func (r *reader) checkChildren(e *element, res *cluster.Resource) {
	n := len(res.Children)
	switch {
	case res.Kind == cluster.Group && n == 0:
		r.fault(e.pos, "group %s is empty", res.ID)
	case res.Kind == cluster.Clone && n != 1:
		r.fault(e.pos, "clone %s has %d resources inside; it must have one", res.ID, n)
	case res.Kind == cluster.Bundle && n > 1:
		r.fault(e.pos, "bundle %s has %d resources inside; it can have one", res.ID, n)
	case res.Kind == cluster.Bundle && (res.Bundle == nil || res.Bundle.Engine == ""):
		r.fault(e.pos, "bundle %s without <docker>, <podman> or <rkt>", res.ID)
	}
}

func (r *reader) operations(e *element, res *cluster.Resource) {
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
			id := r.id(e, kindOperations)
			if r.opsOwner == nil {
				r.opsOwner = map[string]string{}
			}
			r.opsOwner[id] = res.ID
		case "id-ref":
			res.OpsRef = a.value // made the owner's id in the end
			r.refer(a.pos, a.value, kindOperations, "<operations> of", res.ID)
		default:
			r.unknownAttr(e, a)
		}
	}
	if res.Operations == nil {
		res.Operations = make([]cluster.Operation, 0, r.doc.count(e))
	}
	for c := range r.doc.children(e) {
		if c.name != "op" {
			r.unknownElement(e, c)
			continue
		}
		res.Operations = append(res.Operations, r.operation(c))
	}
}

func (r *reader) operation(e *element) cluster.Operation {
	op := cluster.Operation{}
	if ref := r.doc.attr(e, "id-ref"); ref != "" {
		op.Ref = ref
		r.refer(e.pos, ref, kindOperation, "<op>", "")
	} else {
		op.ID = r.id(e, kindOperation)
	}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id", "id-ref":
		case "name":
			op.Name = a.value
		case "interval":
			op.Interval = a.value
		case "role":
			op.Attrs = append(op.Attrs, cluster.NVPair{Name: "role", Value: r.role(a)})
		case "on-fail", "on_fail":
			r.oneOf(a, "ignore", "nothing", "block", "demote", "stop", "restart", "standby", "fence", "restart-container", "migrate")
			op.Attrs = append(op.Attrs, cluster.NVPair{Name: "on-fail", Value: a.value})
		case "timeout", "enabled", "start-delay", "interval-origin", "record-pending", "description",
			"requires", "disabled", "prereq":
			op.Attrs = append(op.Attrs, cluster.NVPair{Name: a.name, Value: a.value})
		default:
			r.unknownAttr(e, a)
		}
	}
	if op.Name == "" && op.Ref == "" {
		r.fault(e.pos, "operation %s without name", op.ID)
	}
	for c := range r.doc.children(e) {
		switch c.name {
		case "meta_attributes":
			op.Meta = append(op.Meta, r.attrSet(c, operationSpelling))
		case "instance_attributes":
			op.Params = append(op.Params, r.attrSet(c, nil))
		default:
			r.unknownElement(e, c)
		}
	}
	return op
}

// resolveOperations makes references between operations elements name the
// resource that has them.
func (r *reader) resolveOperations(res []cluster.Resource) {
	for i := range res {
		if res[i].OpsRef != "" {
			res[i].OpsRef = r.opsOwner[res[i].OpsRef]
		}
		r.resolveOperations(res[i].Children)
	}
}

func bundleSpec(res *cluster.Resource) *cluster.BundleSpec {
	if res.Bundle == nil {
		res.Bundle = &cluster.BundleSpec{}
	}
	return res.Bundle
}

func (r *reader) engine(e *element, res *cluster.Resource) {
	b := bundleSpec(res)
	b.Engine = e.name
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "image":
			b.Image = a.value
		case "replicas":
			b.Replicas = r.number(a)
		case "replicas-per-host":
			b.ReplicasPerHost = r.number(a)
		case "promoted-max", "masters":
			b.PromotedMax = r.number(a)
		case "run-command":
			b.RunCommand = a.value
		case "network":
			b.Network = a.value
		case "options":
			options := a.value
			b.Options = &options
		default:
			r.unknownAttr(e, a)
		}
	}
}

func (r *reader) network(e *element, b *cluster.BundleSpec) {
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "ip-range-start":
			b.IPRangeStart = a.value
		case "host-netmask":
			b.HostNetmask = a.value
		case "host-interface":
			b.HostInterface = a.value
		case "control-port":
			b.ControlPort = r.number(a)
		case "add-host":
			b.AddHost = r.boolean(a)
		case "id":
		default:
			r.unknownAttr(e, a)
		}
	}
	for c := range r.doc.children(e) {
		if c.name != "port-mapping" {
			r.unknownElement(e, c)
			continue
		}
		p := cluster.PortMapping{ID: r.id(c, kindOther)}
		for a := range r.doc.attributes(c) {
			switch a.name {
			case "id":
			case "port":
				p.Port = r.number(a)
			case "internal-port":
				p.InternalPort = r.number(a)
			case "range":
				p.Range = a.value
			default:
				r.unknownAttr(c, a)
			}
		}
		b.Ports = append(b.Ports, p)
	}
}

func (r *reader) storage(e *element, b *cluster.BundleSpec) {
	for c := range r.doc.children(e) {
		if c.name != "storage-mapping" {
			r.unknownElement(e, c)
			continue
		}
		s := cluster.StorageMapping{ID: r.id(c, kindOther)}
		for a := range r.doc.attributes(c) {
			switch a.name {
			case "id":
			case "source-dir":
				s.Source = a.value
			case "source-dir-root":
				s.SourceRoot = a.value
			case "target-dir":
				s.Target = a.value
			case "options":
				s.Options = a.value
			default:
				r.unknownAttr(c, a)
			}
		}
		b.Storage = append(b.Storage, s)
	}
}

// number checks that an attribute is a whole number, and returns its text.
func (r *reader) number(a attr) string {
	if _, ok := integer(a.value); !ok {
		r.fault(a.pos, "%s is %q; it must be a whole number", a.name, a.value)
	}
	return a.value
}
