package pacemaker

import "linuxha/internal/cluster"

func (w *writer) resource(r *cluster.Resource) {
	switch r.Kind {
	case cluster.Primitive:
		w.primitive("primitive", r)
		return
	case cluster.Bundle:
		w.bundle(r)
		return
	}
	tag := string(r.Kind)
	if r.LegacyPromotable {
		tag = "master"
	}
	w.open(tag, append([]string{"id", r.ID}, optional("description", r.Description)...)...)
	w.attrSets("meta_attributes", r.Meta)
	w.attrSets("instance_attributes", r.Params)
	for i := range r.Children {
		w.resource(&r.Children[i])
	}
	w.close(tag)
}

func (w *writer) primitive(tag string, r *cluster.Resource) {
	attrs := []string{"id", r.ID}
	attrs = append(attrs, optional("class", r.Agent.Class, "provider", r.Agent.Provider, "type", r.Agent.Type, "template", r.Template,
		"description", r.Description)...)
	w.open(tag, attrs...)
	w.attrSets("meta_attributes", r.Meta)
	w.attrSets("instance_attributes", r.Params)
	w.attrSets("utilization", r.Utilization)
	switch {
	case r.OpsRef != "":
		// The importer names the resource; a CIB names its operations element.
		w.empty("operations", "id-ref", r.OpsRef+"-operations")
	case len(r.Operations) > 0:
		w.open("operations", "id", r.ID+"-operations")
		for i := range r.Operations {
			w.operation(&r.Operations[i])
		}
		w.close("operations")
	}
	w.close(tag)
}

func (w *writer) operation(o *cluster.Operation) {
	if o.Ref != "" {
		w.empty("op", "id-ref", o.Ref)
		return
	}
	interval := o.Interval
	if interval == "" {
		interval = "0"
	}
	attrs := []string{"id", w.id(o.ID), "name", o.Name, "interval", interval}
	for _, a := range o.Attrs {
		attrs = append(attrs, a.Name, a.Value)
	}
	w.open("op", attrs...)
	w.attrSets("meta_attributes", o.Meta)
	w.attrSets("instance_attributes", o.Params)
	w.close("op")
}

func (w *writer) bundle(r *cluster.Resource) {
	s := r.Bundle
	w.open("bundle", append([]string{"id", r.ID}, optional("description", r.Description)...)...)
	w.attrSets("meta_attributes", r.Meta)
	attrs := append([]string{"image", s.Image}, optional("replicas", s.Replicas, "replicas-per-host", s.ReplicasPerHost,
		"promoted-max", s.PromotedMax, "run-command", s.RunCommand, "network", s.Network)...)
	if s.Options != nil {
		attrs = append(attrs, "options", *s.Options)
	}
	w.empty(s.Engine, attrs...)
	w.open("network", optional("ip-range-start", s.IPRangeStart, "host-netmask", s.HostNetmask, "host-interface", s.HostInterface,
		"control-port", s.ControlPort, "add-host", s.AddHost)...)
	for _, p := range s.Ports {
		w.empty("port-mapping", append([]string{"id", w.id(p.ID)}, optional("port", p.Port, "internal-port", p.InternalPort, "range", p.Range)...)...)
	}
	w.close("network")
	w.open("storage")
	for _, m := range s.Storage {
		w.empty("storage-mapping", append([]string{"id", w.id(m.ID)}, optional("source-dir", m.Source, "source-dir-root", m.SourceRoot,
			"target-dir", m.Target, "options", m.Options)...)...)
	}
	w.close("storage")
	for i := range r.Children {
		w.resource(&r.Children[i])
	}
	w.close("bundle")
}

func (w *writer) constraints(c *cluster.Config) {
	w.open("constraints")
	for i := range c.Locations {
		l := &c.Locations[i]
		w.open("rsc_location", append([]string{"id", w.id(l.ID)}, optional("rsc", l.Resource, "rsc-pattern", l.Pattern, "node", l.Node, "score", l.Score,
			"role", l.Role, "resource-discovery", l.Discovery)...)...)
		w.resourceSets(l.Sets)
		for j := range l.Rules {
			w.rule(&l.Rules[j])
		}
		w.close("rsc_location")
	}
	for i := range c.Colocations {
		k := &c.Colocations[i]
		w.open("rsc_colocation", append([]string{"id", w.id(k.ID)}, optional("rsc", k.Resource, "with-rsc", k.With, "rsc-role", k.Role,
			"with-rsc-role", k.WithRole, "rsc-instance", k.Instance, "with-rsc-instance", k.WithInstance, "node-attribute", k.NodeAttribute,
			"score", k.Score, "influence", k.Influence)...)...)
		w.resourceSets(k.Sets)
		if k.Rule != nil {
			w.open("lifetime")
			w.rule(k.Rule)
			w.close("lifetime")
		}
		w.close("rsc_colocation")
	}
	for i := range c.Orders {
		o := &c.Orders[i]
		w.open("rsc_order", append([]string{"id", w.id(o.ID)}, optional("first", o.First, "then", o.Then, "first-action", o.FirstAction,
			"then-action", o.ThenAction, "first-instance", o.FirstInst, "then-instance", o.ThenInst, "kind", o.Kind, "score", o.Score,
			"symmetrical", o.Symmetrical, "require-all", o.RequireAll)...)...)
		w.resourceSets(o.Sets)
		w.close("rsc_order")
	}
	for i := range c.TicketRules {
		t := &c.TicketRules[i]
		w.open("rsc_ticket", append([]string{"id", w.id(t.ID), "ticket", t.Ticket}, optional("rsc", t.Resource, "rsc-role", t.Role,
			"loss-policy", t.LossPolicy)...)...)
		w.resourceSets(t.Sets)
		w.close("rsc_ticket")
	}
	w.close("constraints")
}

func (w *writer) resourceSets(sets []cluster.ResourceSet) {
	for _, s := range sets {
		if s.Ref != "" {
			w.empty("resource_set", "id-ref", s.Ref)
			continue
		}
		w.open("resource_set", append([]string{"id", w.id(s.ID)}, optional("sequential", s.Sequential, "require-all", s.RequireAll,
			"ordering", s.Ordering, "action", s.Action, "role", s.Role, "score", s.Score, "kind", s.Kind)...)...)
		for _, id := range s.Resources {
			w.empty("resource_ref", "id", id)
		}
		w.close("resource_set")
	}
}
