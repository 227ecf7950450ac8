package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HostCheck is how the targets of a fence device are known (pcmk_host_check).
type HostCheck string

const (
	HostStatic  HostCheck = "static-list"  // pcmk_host_list and pcmk_host_map
	HostDynamic HostCheck = "dynamic-list" // what the device's list action says
	HostStatus  HostCheck = "status"       // whatever the status action answers for
	HostAny     HostCheck = "none"         // every node
)

// FenceDevice is what the manager of fencing reads from a device's parameters;
// the agent never sees these (pcmk_*).
type FenceDevice struct {
	// Check is "" where the parameters do not say: static-list is not it then,
	// but the agent's metadata decides between dynamic-list, status and none.
	Check HostCheck
	Hosts []string   // pcmk_host_list
	Map   []PlugName // pcmk_host_map, in its order

	// Argument names the agent's parameter for the plug (pcmk_host_argument);
	// "" lets the metadata decide, "none" gives none.
	Argument    string
	ActionLimit int // fencings at once; -1 unlimited

	delayBase    time.Duration
	delayBaseFor []nodeDelay
	delayMax     time.Duration
	actions      []fenceAction
}

// PlugName maps a node to the plug, port or virtual machine that the device
// knows it by.
type PlugName struct {
	Node string `json:"node,omitempty"`
	Plug string `json:"plug"`
}

type nodeDelay struct {
	node  string
	delay time.Duration
}

type fenceAction struct {
	name    string
	alias   string // what to ask the agent for; "" the same
	timeout time.Duration
	retries int
}

// fenceActionNames may be part of pcmk_ACTION_action, _timeout and _retries.
var fenceActionNames = []string{"reboot", "off", "on", "list", "monitor", "status", "metadata", "validate-all"}

// FenceParameters are the names of the parameters of a fence device that the
// cluster itself reads.
func FenceParameters() []string {
	names := []string{"pcmk_host_list", "pcmk_host_map", "pcmk_host_check", "pcmk_host_argument", "pcmk_action_limit", "pcmk_delay_base", "pcmk_delay_max"}
	for _, action := range fenceActionNames {
		names = append(names, "pcmk_"+action+"_action", "pcmk_"+action+"_timeout", "pcmk_"+action+"_retries")
	}
	return names
}

// ParseFenceDevice reads the pcmk_* parameters among params. Others are the
// agent's and are passed over; an unknown pcmk_* or a bad value is an error. The
// device is usable all the same, by what could be read: a slip must not keep a
// node from being fenced.
func ParseFenceDevice(params []NVPair) (*FenceDevice, error) {
	d := &FenceDevice{ActionLimit: 1}
	var problems []error
	for _, p := range params {
		if !strings.HasPrefix(p.Name, "pcmk_") {
			continue
		}
		err := fmt.Errorf("is read by the cluster and cannot come from a file")
		if p.File == "" {
			err = d.set(p.Name, p.Value)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("fence device parameter %s: %w", p.Name, err))
		}
	}
	if d.Check == "" && (len(d.Hosts) > 0 || len(d.Map) > 0) {
		d.Check = HostStatic
	}
	return d, errors.Join(problems...)
}

func (d *FenceDevice) set(name, value string) (err error) {
	switch name {
	case "pcmk_host_list":
		d.Hosts = strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" ,;\t\n", r) })
	case "pcmk_host_map":
		d.Map, err = parseHostMap(value)
	case "pcmk_host_check":
		d.Check = HostCheck(value)
		if !slices.Contains([]HostCheck{HostStatic, HostDynamic, HostStatus, HostAny}, d.Check) {
			err = fmt.Errorf("%q is none of static-list, dynamic-list, status, none", value)
		}
	case "pcmk_host_argument":
		d.Argument = value
	case "pcmk_action_limit":
		if d.ActionLimit, err = strconv.Atoi(value); err == nil && d.ActionLimit < 1 && d.ActionLimit != -1 {
			err = fmt.Errorf("%q is neither 1 or more nor -1 (no limit)", value)
		}
		if err != nil {
			d.ActionLimit = 1
		}
	case "pcmk_delay_max":
		d.delayMax, err = ParseSeconds(value)
	case "pcmk_delay_base":
		err = d.setDelayBase(value)
	default:
		err = d.setAction(name, value)
	}
	return err
}

// setDelayBase reads one time for all, or "alpha:1s;beta:5s".
func (d *FenceDevice) setDelayBase(value string) (err error) {
	if !strings.ContainsAny(value, ":=") {
		d.delayBase, err = ParseSeconds(value)
		return err
	}
	pairs, err := parseHostMap(value)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		delay, err := ParseSeconds(p.Plug)
		if err != nil {
			return err
		}
		d.delayBaseFor = append(d.delayBaseFor, nodeDelay{p.Node, delay})
	}
	return nil
}

func (d *FenceDevice) setAction(name, value string) (err error) {
	parts := strings.Split(name, "_")
	if len(parts) != 3 || !slices.Contains(fenceActionNames, parts[1]) {
		return fmt.Errorf("is not known; the parameters that begin with pcmk_ are the cluster's own")
	}
	a := d.action(parts[1])
	switch parts[2] {
	case "action":
		a.alias = value
	case "timeout":
		a.timeout, err = ParseSeconds(value)
	case "retries":
		if a.retries, err = strconv.Atoi(value); err == nil && a.retries < 0 {
			err = fmt.Errorf("%q is negative", value)
		}
	default:
		return fmt.Errorf("is not known; an action has pcmk_%[1]s_action, pcmk_%[1]s_timeout and pcmk_%[1]s_retries", parts[1])
	}
	return err
}

// action returns the settings of an action, made if there are none yet.
func (d *FenceDevice) action(name string) *fenceAction {
	for i := range d.actions {
		if d.actions[i].name == name {
			return &d.actions[i]
		}
	}
	d.actions = append(d.actions, fenceAction{name: name, retries: -1})
	return &d.actions[len(d.actions)-1]
}

func (d *FenceDevice) lookup(action string) fenceAction {
	for _, a := range d.actions {
		if a.name == action {
			return a
		}
	}
	return fenceAction{name: action, retries: -1}
}

// Alias is the action to ask the agent for (pcmk_ACTION_action).
func (d *FenceDevice) Alias(action string) string {
	if a := d.lookup(action); a.alias != "" {
		return a.alias
	}
	return action
}

// Timeout is how long all tries of action may take together
// (pcmk_ACTION_timeout), or otherwise.
func (d *FenceDevice) Timeout(action string, otherwise time.Duration) time.Duration {
	if a := d.lookup(action); a.timeout > 0 {
		return a.timeout
	}
	return otherwise
}

// Tries is how often action is attempted within its time-out, at least once
// (pcmk_ACTION_retries; default 2).
func (d *FenceDevice) Tries(action string) int {
	if a := d.lookup(action); a.retries >= 0 {
		return max(a.retries, 1)
	}
	return 2
}

// Delay returns the least and the largest time to wait before node is fenced:
// the least is fixed, what lies between is drawn at random by the caller.
func (d *FenceDevice) Delay(node string) (least, largest time.Duration) {
	least = d.delayBase
	for _, n := range d.delayBaseFor {
		if strings.EqualFold(n.node, node) {
			least = n.delay
		}
	}
	return least, max(least, d.delayMax)
}

// Plug is what the device knows node by: its entry in the map, else its name.
func (d *FenceDevice) Plug(node string) string {
	for _, p := range d.Map {
		if strings.EqualFold(p.Node, node) {
			return p.Plug
		}
	}
	return node
}

// Fences tells whether the device can fence node as far as the parameters say:
// known is false where only its list or status action, or its metadata, can tell.
func (d *FenceDevice) Fences(node string) (can, known bool) {
	same := func(name string) bool { return strings.EqualFold(name, node) }
	switch d.Check {
	case HostStatic:
		return slices.ContainsFunc(d.Hosts, same) ||
			slices.ContainsFunc(d.Map, func(p PlugName) bool { return same(p.Node) }), true
	case HostAny:
		return true, true
	}
	return false, false
}

// parseHostMap reads "alpha:1;beta:2,3". Pairs end at ; or blanks, = may stand
// for the colon, a backslash takes the next character as it is.
func parseHostMap(text string) ([]PlugName, error) {
	var (
		pairs   []PlugName
		node    string
		current strings.Builder
		inPlug  bool
		escaped bool
	)
	end := func() error {
		if !inPlug && current.Len() == 0 {
			return nil
		}
		if !inPlug || node == "" || current.Len() == 0 {
			return fmt.Errorf("%q is not of the form node:plug;node:plug", text)
		}
		pairs = append(pairs, PlugName{node, current.String()})
		current.Reset()
		inPlug = false
		return nil
	}
	for _, r := range text {
		switch {
		case escaped:
			current.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped = true
		case (r == ':' || r == '=') && !inPlug:
			node, inPlug = current.String(), true
			current.Reset()
		case strings.ContainsRune("; \t\n", r):
			if err := end(); err != nil {
				return nil, err
			}
		default:
			current.WriteRune(r)
		}
	}
	if err := end(); err != nil {
		return nil, err
	}
	return pairs, nil
}

// ParseFenceList reads the output of an agent's list action, a plug and its
// alias a line ("1,alpha"): Plug is what the agent takes, Node the alias.
func ParseFenceList(output string) []PlugName {
	var plugs []PlugName
	for line := range strings.Lines(output) {
		plug, alias, _ := strings.Cut(strings.TrimSpace(line), ",")
		if plug = strings.TrimSpace(plug); plug != "" && !strings.ContainsAny(plug, " \t") {
			plugs = append(plugs, PlugName{Node: strings.TrimSpace(alias), Plug: plug})
		}
	}
	return plugs
}

// Lists tells whether a device whose list action gave plugs can fence node.
func (d *FenceDevice) Lists(plugs []PlugName, node string) bool {
	plug := d.Plug(node)
	return slices.ContainsFunc(plugs, func(p PlugName) bool {
		return strings.EqualFold(p.Plug, plug) || p.Node != "" && strings.EqualFold(p.Node, plug)
	})
}
