package cluster

// ResourceKind tells the variants of Resource apart.
type ResourceKind string

const (
	Primitive ResourceKind = "primitive"
	Group     ResourceKind = "group"
	Clone     ResourceKind = "clone" // anonymous, unique or promotable by its meta-attributes
	Bundle    ResourceKind = "bundle"
)

// Resource is one configured resource. Only primitives have an agent; the
// others have Children (a group one or more primitives, a clone one primitive
// or group, a bundle at most one primitive).
type Resource struct {
	ID          string       `json:"id"`
	Kind        ResourceKind `json:"kind"`
	Description string       `json:"description,omitempty"`

	// Primitives and templates.
	Agent       Agent       `json:"agent,omitempty"`
	Template    string      `json:"template,omitempty"` // id of a template to copy from
	Operations  []Operation `json:"operations,omitempty"`
	OpsRef      string      `json:"ops_ref,omitempty"` // the operations of this other resource (operations id-ref)
	Utilization []AttrSet   `json:"utilization,omitempty"`

	Meta   []AttrSet `json:"meta,omitempty"`
	Params []AttrSet `json:"params,omitempty"` // agent parameters (instance attributes)

	Children []Resource  `json:"children,omitempty"`
	Bundle   *BundleSpec `json:"bundle,omitempty"`

	// LegacyPromotable marks an old master/slave element, which implies
	// promotable=true.
	LegacyPromotable bool `json:"legacy_promotable,omitempty"`
}

// Agent names the program that manages a resource: "ocf:heartbeat:IPaddr2",
// "systemd:nginx", "lsb:foo", "stonith:fence_ipmilan", or built in "ha:ip".
type Agent struct {
	Class    string `json:"class,omitempty"`    // ocf, systemd, lsb, service, stonith, ha
	Provider string `json:"provider,omitempty"` // ocf only
	Type     string `json:"type,omitempty"`
}

// String returns the agent in the colon form, "" for none.
func (a Agent) String() string {
	switch {
	case a.Class == "" && a.Type == "":
		return ""
	case a.Provider != "":
		return a.Class + ":" + a.Provider + ":" + a.Type
	default:
		return a.Class + ":" + a.Type
	}
}

// IsFence tells whether the agent is a fence device.
func (a Agent) IsFence() bool { return a.Class == "stonith" }

// Operation is one configured operation of a primitive. Attributes of the op
// element and of its blocks stay as text; names are Pacemaker's.
type Operation struct {
	ID       string `json:"id,omitempty"`
	Ref      string `json:"ref,omitempty"` // stands for the operation with this id
	Name     string `json:"name"`
	Interval string `json:"interval,omitempty"`
	// Attrs are the remaining attributes written on the element itself
	// (timeout, role, on-fail, enabled, start-delay, interval-origin,
	// record-pending, description), in the order of the document.
	Attrs  []NVPair  `json:"attrs,omitempty"`
	Meta   []AttrSet `json:"meta,omitempty"`
	Params []AttrSet `json:"params,omitempty"`
}

// Attr returns the value of a directly written attribute, or "".
func (o *Operation) Attr(name string) string {
	for _, p := range o.Attrs {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// BundleSpec describes the containers of a bundle. Numbers stay text where
// "unset" differs from any number.
type BundleSpec struct {
	Engine          string `json:"engine"` // docker, podman, rkt
	Image           string `json:"image"`
	Replicas        string `json:"replicas,omitempty"`
	ReplicasPerHost string `json:"replicas_per_host,omitempty"`
	PromotedMax     string `json:"promoted_max,omitempty"`
	RunCommand      string `json:"run_command,omitempty"`
	Network         string `json:"network,omitempty"`
	// Options is nil where the attribute is absent.
	Options *string `json:"options,omitempty"`

	IPRangeStart  string `json:"ip_range_start,omitempty"`
	HostNetmask   string `json:"host_netmask,omitempty"`
	HostInterface string `json:"host_interface,omitempty"`
	ControlPort   string `json:"control_port,omitempty"`
	AddHost       string `json:"add_host,omitempty"`

	Ports   []PortMapping    `json:"ports,omitempty"`
	Storage []StorageMapping `json:"storage,omitempty"`
}

// PortMapping forwards a host port (or Range) into a container.
type PortMapping struct {
	ID           string `json:"id,omitempty"`
	Port         string `json:"port,omitempty"`
	InternalPort string `json:"internal_port,omitempty"`
	Range        string `json:"range,omitempty"`
}

// StorageMapping mounts a host directory into a container; SourceRoot gives
// each replica a directory of its own below it.
type StorageMapping struct {
	ID         string `json:"id,omitempty"`
	Source     string `json:"source,omitempty"`
	SourceRoot string `json:"source_root,omitempty"`
	Target     string `json:"target"`
	Options    string `json:"options,omitempty"`
}
