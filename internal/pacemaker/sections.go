package pacemaker

import (
	"strings"

	"linuxha/internal/cluster"
)

func (r *reader) fencingLevels(e *element) {
	for c := range r.doc.children(e) {
		if c.name != "fencing-level" {
			r.unknownElement(e, c)
			continue
		}
		l := cluster.FencingLevel{ID: r.id(c, kindOther)}
		for a := range r.doc.attributes(c) {
			switch a.name {
			case "id":
			case "target":
				l.Target = a.value
			case "target-pattern":
				l.Pattern = a.value
			case "target-attribute":
				l.Attribute = a.value
			case "target-value":
				l.Value = a.value
			case "index":
				n, ok := integer(a.value)
				if !ok || n < 1 || n > 9 {
					r.fault(a.pos, "index of fencing level %s is %q; it can be 1 to 9", l.ID, a.value)
				}
				l.Index = int(n)
			case "devices":
				for d := range strings.SplitSeq(a.value, ",") {
					if d = strings.TrimSpace(d); d != "" {
						l.Devices = append(l.Devices, d)
						r.refer(a.pos, d, kindDevice|kindResource, "fencing level", l.ID)
					}
				}
			default:
				r.unknownAttr(c, a)
			}
		}
		r.config.FencingLevels = append(r.config.FencingLevels, l)
	}
}

func (r *reader) alerts(e *element) {
	for c := range r.doc.children(e) {
		if c.name != "alert" {
			r.unknownElement(e, c)
			continue
		}
		alert := cluster.Alert{ID: r.id(c, kindOther), Path: r.doc.attr(c, "path")}
		if alert.Path == "" {
			r.fault(c.pos, "alert %s without path", alert.ID)
		}
		for a := range r.doc.attributes(c) {
			switch a.name {
			case "id", "path", "description":
			default:
				r.unknownAttr(c, a)
			}
		}
		for b := range r.doc.children(c) {
			switch b.name {
			case "meta_attributes":
				alert.Meta = append(alert.Meta, r.attrSet(b, nil))
			case "instance_attributes":
				alert.Params = append(alert.Params, r.attrSet(b, nil))
			case "select":
				r.alertSelect(b, &alert)
			case "recipient":
				alert.Recipients = append(alert.Recipients, r.recipient(b))
			default:
				r.unknownElement(c, b)
			}
		}
		r.config.Alerts = append(r.config.Alerts, alert)
	}
}

func (r *reader) alertSelect(e *element, alert *cluster.Alert) {
	for c := range r.doc.children(e) {
		switch c.name {
		case "select_nodes", "select_fencing", "select_resources":
			alert.Select = append(alert.Select, strings.TrimPrefix(c.name, "select_"))
		case "select_attributes":
			alert.Select = append(alert.Select, "attributes")
			for a := range r.doc.children(c) {
				if a.name != "attribute" {
					r.unknownElement(c, a)
					continue
				}
				r.id(a, kindOther)
				alert.Attributes = append(alert.Attributes, r.doc.attr(a, "name"))
			}
		default:
			r.unknownElement(e, c)
		}
	}
}

func (r *reader) recipient(e *element) cluster.Recipient {
	rec := cluster.Recipient{ID: r.id(e, kindOther), Value: r.doc.attr(e, "value")}
	for b := range r.doc.children(e) {
		switch b.name {
		case "meta_attributes":
			rec.Meta = append(rec.Meta, r.attrSet(b, nil))
		case "instance_attributes":
			rec.Params = append(rec.Params, r.attrSet(b, nil))
		default:
			r.unknownElement(e, b)
		}
	}
	return rec
}

func (r *reader) acls(e *element) {
	for c := range r.doc.children(e) {
		switch c.name {
		case "acl_role":
			role := cluster.ACLRole{ID: r.id(c, kindRole)}
			for p := range r.doc.children(c) {
				r.aclPermission(c, p, &role)
			}
			r.config.ACLRoles = append(r.config.ACLRoles, role)
		case "acl_target", "acl_group", "acl_user":
			r.aclTarget(c)
		default:
			r.unknownElement(e, c)
		}
	}
}

// aclPermission reads an acl_permission, or its old forms named read, write
// and deny.
func (r *reader) aclPermission(parent, e *element, role *cluster.ACLRole) {
	p := cluster.ACLPermission{}
	switch e.name {
	case "acl_permission":
	case "read", "write", "deny":
		p.Kind = e.name
	default:
		r.unknownElement(parent, e)
		return
	}
	p.ID = r.id(e, kindOther)
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id", "description":
		case "kind":
			p.Kind = r.oneOf(a, "read", "write", "deny")
		case "xpath":
			p.XPath = a.value
		case "reference", "ref":
			p.Reference = a.value
			r.refer(a.pos, a.value, anyKind, "ACL role", role.ID)
		case "object-type", "tag":
			p.ObjectTag = a.value
		case "attribute":
			p.Attribute = a.value
		default:
			r.unknownAttr(e, a)
		}
	}
	role.Permissions = append(role.Permissions, p)
}

func (r *reader) aclTarget(e *element) {
	t := cluster.ACLTarget{
		ID:    r.doc.attr(e, "id"), // the name of a user: not unique among ids
		Name:  r.doc.attr(e, "name"),
		Group: e.name == "acl_group",
	}
	for c := range r.doc.children(e) {
		switch c.name {
		case "role", "role_ref":
			id := r.doc.attr(c, "id")
			r.refer(c.pos, id, kindRole, "ACL target", t.ID)
			t.Roles = append(t.Roles, id)
		default:
			r.unknownElement(e, c)
		}
	}
	r.config.ACLTargets = append(r.config.ACLTargets, t)
}
