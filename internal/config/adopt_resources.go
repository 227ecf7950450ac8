package config

import (
	"slices"

	"linuxha/internal/cluster"
)

func (a *adopter) resource(from *cluster.Resource) cluster.Resource {
	at := title(from)
	if from.Kind == cluster.Primitive {
		return a.primitive(at, from)
	}
	r := cluster.Resource{ID: from.ID, Kind: from.Kind, Description: from.Description, Bundle: from.Bundle}
	for i := range from.Children {
		r.Children = append(r.Children, a.resource(&from.Children[i]))
	}
	a.common(at, &r, from)
	switch {
	case from.LegacyPromotable:
		for i := range r.Meta {
			r.Meta[i].Pairs = slices.DeleteFunc(r.Meta[i].Pairs, func(p cluster.NVPair) bool { return p.Name == "promotable" })
		}
		first := cluster.NVPair{Name: "promotable", Value: "true"}
		if len(r.Meta) > 0 && simple(r.Meta[0]) {
			r.Meta[0].Pairs = append([]cluster.NVPair{first}, r.Meta[0].Pairs...)
		} else {
			r.Meta = addPlain(r.Meta, first)
		}
	}
	return r
}

func (a *adopter) common(at string, r, from *cluster.Resource) {
	r.Params = a.sets(at, "", from.Params, nil)
	r.Meta = a.sets(at, "meta-attribute", from.Meta, meta)
}

func (a *adopter) primitive(at string, from *cluster.Resource) cluster.Resource {
	r := cluster.Resource{ID: from.ID, Kind: from.Kind, Description: from.Description, Agent: from.Agent, Template: from.Template, OpsRef: from.OpsRef}
	if t := a.refs.Resources[r.Template]; t != nil && t.Agent.IsFence() {
		r.Agent = t.Agent // fence devices have a block of their own
	}
	a.common(at, &r, from)
	r.Utilization = a.sets(at, "", from.Utilization, nil)
	for i := range from.Operations {
		if op, ok := a.operation(at, &from.Operations[i]); ok {
			r.Operations = append(r.Operations, op)
		}
	}
	r.Operations = a.onlyFirst(at, r.Operations)
	if len(r.Operations) == 0 && r.Template == "" && r.OpsRef == "" && at != "template "+r.ID {
		// Without any operation, the language's default is a monitor.
		every := advisedInterval(r.Agent)
		if r.Agent.IsFence() {
			every = "60s"
		}
		r.Operations = []cluster.Operation{{Name: "monitor", Interval: every, Attrs: []cluster.NVPair{{Name: "enabled", Value: "false"}}}}
		a.remark(SpelledOut, at, `its monitor is disabled, since it has none; leave the op block out to have it looked at every %s`, every)
	}
	return r
}

func (a *adopter) operation(at string, from *cluster.Operation) (cluster.Operation, bool) {
	id := from.Ref
	if from = a.refs.Operation(from); from == nil {
		a.remark(LeftOut, at, "an operation that is the same as %q, which does not exist", id)
		return cluster.Operation{}, false
	}
	op := cluster.Operation{Name: from.Name}
	what := at + " op " + op.Name
	if from.Interval != "" {
		every, err := spec{kind: duration}.loosely(from.Interval)
		if err != nil {
			a.remark(LeftOut, what, "interval: %v", err)
		}
		op.Interval = every
	}
	if ms, _ := Milliseconds(op.Interval); ms > 0 && op.Name != "monitor" && op.Name != "status" {
		a.remark(LeftOut, what, "only a monitor recurs, and this one has interval = %q", op.Interval)
		return op, false
	}
	op.Attrs = a.pairs(what, "property of operations", from.Attrs, operationAttrs)
	op.Attrs = slices.DeleteFunc(op.Attrs, func(p cluster.NVPair) bool {
		wrong := op.Name == "stop" && p.Name == "on-fail" && slices.Contains([]string{"standby", "demote", "stop"}, p.Value)
		if wrong {
			a.remark(LeftOut, what, "on-fail = %q is not possible for stop; the default holds", p.Value)
		}
		return wrong
	})
	slices.SortStableFunc(op.Attrs, func(p, q cluster.NVPair) int { return attrRank(p.Name) - attrRank(q.Name) })
	op.Meta = a.sets(what, "property of operations", from.Meta, operationAttrs)
	op.Params = a.sets(what, "", from.Params, nil)
	return op, true
}

// onlyFirst leaves out what is written again of operations that do not recur, of
// which the first counts. Recurring ones of the same interval stay, for a person
// to choose: Pacemaker runs neither.
func (a *adopter) onlyFirst(at string, ops []cluster.Operation) []cluster.Operation {
	var kept []cluster.Operation
	for _, op := range ops {
		recurs, _ := Milliseconds(op.Interval)
		if recurs == 0 && slices.ContainsFunc(kept, func(o cluster.Operation) bool {
			ms, _ := Milliseconds(o.Interval)
			return o.Name == op.Name && ms == 0
		}) {
			a.remark(LeftOut, at+" op "+op.Name, "it is there twice, and the first counts")
			continue
		}
		kept = append(kept, op)
	}
	return kept
}
