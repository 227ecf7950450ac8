package cluster

// Location says where a resource may or should run. Either Node and Score, or
// Rules. Scores stay text ("100", "INFINITY", "-INFINITY"): "" is unset.
type Location struct {
	ID        string        `json:"id"`
	Resource  string        `json:"resource,omitempty"` // a resource, template or tag
	Pattern   string        `json:"pattern,omitempty"`  // extended regular expression, "!" first negates
	Sets      []ResourceSet `json:"sets,omitempty"`
	Node      string        `json:"node,omitempty"`
	Score     string        `json:"score,omitempty"`
	Role      string        `json:"role,omitempty"`
	Discovery string        `json:"discovery,omitempty"` // always never exclusive
	Rules     []Rule        `json:"rules,omitempty"`
}

// Colocation: where Resource goes depends on where With goes; or Sets.
type Colocation struct {
	ID            string        `json:"id"`
	Resource      string        `json:"resource,omitempty"`
	With          string        `json:"with,omitempty"`
	Role          string        `json:"role,omitempty"`
	WithRole      string        `json:"with_role,omitempty"`
	Instance      string        `json:"instance,omitempty"`      // rsc-instance (obsolete)
	WithInstance  string        `json:"with_instance,omitempty"` // with-rsc-instance (obsolete)
	NodeAttribute string        `json:"node_attribute,omitempty"`
	Score         string        `json:"score,omitempty"`
	Influence     string        `json:"influence,omitempty"`
	Rule          *Rule         `json:"rule,omitempty"`
	Sets          []ResourceSet `json:"sets,omitempty"`
}

// Order: First's action comes before Then's; or Sets.
type Order struct {
	ID          string        `json:"id"`
	First       string        `json:"first,omitempty"`
	Then        string        `json:"then,omitempty"`
	FirstAction string        `json:"first_action,omitempty"`
	ThenAction  string        `json:"then_action,omitempty"`
	FirstInst   string        `json:"first_instance,omitempty"` // obsolete
	ThenInst    string        `json:"then_instance,omitempty"`  // obsolete
	Kind        string        `json:"kind,omitempty"`           // Optional Mandatory Serialize
	Score       string        `json:"score,omitempty"`          // old spelling of kind
	Symmetrical string        `json:"symmetrical,omitempty"`
	RequireAll  string        `json:"require_all,omitempty"`
	Sets        []ResourceSet `json:"sets,omitempty"`
}

// TicketRule makes resources depend on a ticket.
type TicketRule struct {
	ID         string        `json:"id"`
	Ticket     string        `json:"ticket"`
	Resource   string        `json:"resource,omitempty"`
	Role       string        `json:"role,omitempty"`
	LossPolicy string        `json:"loss_policy,omitempty"` // stop demote fence freeze
	Sets       []ResourceSet `json:"sets,omitempty"`
}

// ResourceSet is several resources inside one constraint. Texts are "" where
// unset: whether unset means true differs by kind of constraint (SEMANTICS 35).
type ResourceSet struct {
	ID         string   `json:"id,omitempty"`
	Ref        string   `json:"ref,omitempty"`
	Resources  []string `json:"resources,omitempty"`
	Sequential string   `json:"sequential,omitempty"`
	RequireAll string   `json:"require_all,omitempty"`
	Ordering   string   `json:"ordering,omitempty"` // group, listed
	Action     string   `json:"action,omitempty"`
	Role       string   `json:"role,omitempty"`
	Score      string   `json:"score,omitempty"`
	Kind       string   `json:"kind,omitempty"`
}

// FencingLevel names the devices that together fence a target at one level.
// Exactly one of Target, Pattern and Attribute is set.
type FencingLevel struct {
	ID        string   `json:"id,omitempty"`
	Target    string   `json:"target,omitempty"`
	Pattern   string   `json:"pattern,omitempty"`
	Attribute string   `json:"attribute,omitempty"`
	Value     string   `json:"value,omitempty"` // of Attribute
	Index     int      `json:"index"`           // 1..9, tried in this order
	Devices   []string `json:"devices"`
}

// Alert is a program that is told of events.
type Alert struct {
	ID         string      `json:"id"`
	Path       string      `json:"path"`
	Select     []string    `json:"select,omitempty"` // nodes, fencing, resources, attributes; empty: the default three
	Attributes []string    `json:"attributes,omitempty"`
	Meta       []AttrSet   `json:"meta,omitempty"`
	Params     []AttrSet   `json:"params,omitempty"`
	Recipients []Recipient `json:"recipients,omitempty"`
}

// Recipient is one address that an alert program is called for.
type Recipient struct {
	ID     string    `json:"id"`
	Value  string    `json:"value"`
	Meta   []AttrSet `json:"meta,omitempty"`
	Params []AttrSet `json:"params,omitempty"`
}

// ACLRole is a named list of permissions.
type ACLRole struct {
	ID          string          `json:"id"`
	Permissions []ACLPermission `json:"permissions,omitempty"`
}

// ACLPermission allows or denies access to a part of the configuration.
type ACLPermission struct {
	ID        string `json:"id,omitempty"`
	Kind      string `json:"kind"` // read write deny
	XPath     string `json:"xpath,omitempty"`
	Reference string `json:"reference,omitempty"`
	ObjectTag string `json:"object_type,omitempty"`
	Attribute string `json:"attribute,omitempty"`
}

// ACLTarget gives roles to a user or group.
type ACLTarget struct {
	ID    string   `json:"id"`
	Name  string   `json:"name,omitempty"`
	Group bool     `json:"group,omitempty"`
	Roles []string `json:"roles,omitempty"`
}
