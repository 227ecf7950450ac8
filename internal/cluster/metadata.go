package cluster

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AgentMetadata is what an agent says of itself.
type AgentMetadata struct {
	Agent      Agent             `json:"agent"`
	Version    string            `json:"version,omitempty"` // of the interface: 1.0, 1.1
	Short      string            `json:"short,omitempty"`
	Long       string            `json:"long,omitempty"`
	Parameters []AgentParameter  `json:"parameters,omitempty"`
	Actions    []AdvisedAction   `json:"actions,omitempty"`
	Special    map[string]string `json:"special,omitempty"` // tag and value of the agent's <special> elements
}

// AgentParameter is one parameter of an agent.
type AgentParameter struct {
	Name        string   `json:"name"`
	Type        string   `json:"type,omitempty"` // string integer boolean second select
	Default     string   `json:"default,omitempty"`
	Options     []string `json:"options,omitempty"` // of a select
	Required    bool     `json:"required,omitempty"`
	Unique      bool     `json:"unique,omitempty"`       // no two resources of this agent may share its value
	UniqueGroup string   `json:"unique_group,omitempty"` // the same for the values of the group together
	// Reloadable: a change needs a reload, not a restart. Agents of interface 1.0 say it with
	// unique="0" and a reload action; those of 1.1 with reloadable="1" and reload-agent.
	Reloadable bool   `json:"reloadable,omitempty"`
	Deprecated bool   `json:"deprecated,omitempty"`
	ReplacedBy string `json:"replaced_by,omitempty"`
	Short      string `json:"short,omitempty"`
	Long       string `json:"long,omitempty"`
}

// AdvisedAction is one action that an agent has, with the times that it advises.
type AdvisedAction struct {
	Name       string        `json:"name"`
	Interval   time.Duration `json:"interval,omitempty"`
	Timeout    time.Duration `json:"timeout,omitempty"`
	StartDelay time.Duration `json:"start_delay,omitempty"`
	Depth      string        `json:"depth,omitempty"` // OCF_CHECK_LEVEL
	Role       string        `json:"role,omitempty"`
	OnTarget   bool          `json:"on_target,omitempty"` // fencing: must run on the target itself
	Automatic  bool          `json:"automatic,omitempty"` // fencing: unfencing ("on") when a node joins
}

// Parameter returns the parameter of that name, or nil.
func (m *AgentMetadata) Parameter(name string) *AgentParameter {
	for i := range m.Parameters {
		if m.Parameters[i].Name == name {
			return &m.Parameters[i]
		}
	}
	return nil
}

// Action returns the first action of that name, or nil.
func (m *AgentMetadata) Action(name string) *AdvisedAction {
	for i := range m.Actions {
		if m.Actions[i].Name == name {
			return &m.Actions[i]
		}
	}
	return nil
}

// Check says what is wrong with the parameter params[i]: an unknown name, with
// the nearest known one, or a value that its type excludes. It is nil for a
// parameter that is fine. A value that comes from a file is not looked at.
func (m *AgentMetadata) Check(pair NVPair) error {
	p := m.Parameter(pair.Name)
	if p == nil {
		names := make([]string, 0, len(m.Parameters))
		for _, q := range m.Parameters {
			names = append(names, q.Name)
		}
		if near := Nearest(pair.Name, names); near != "" {
			return fmt.Errorf("%s has no parameter %q; did you mean %q?", m.Agent, pair.Name, near)
		}
		return fmt.Errorf("%s has no parameter %q; it has %s", m.Agent, pair.Name, strings.Join(names, ", "))
	}
	if pair.File != "" {
		return nil
	}
	switch p.Type {
	case "integer":
		if _, err := strconv.Atoi(pair.Value); err != nil {
			return fmt.Errorf("parameter %s of %s: %q is not a whole number", p.Name, m.Agent, pair.Value)
		}
	case "boolean":
		if _, ok := Bool(pair.Value); !ok {
			return fmt.Errorf("parameter %s of %s: %q is neither true nor false", p.Name, m.Agent, pair.Value)
		}
	case "second":
		if _, err := ParseSeconds(pair.Value); err != nil {
			return fmt.Errorf("parameter %s of %s: %w", p.Name, m.Agent, err)
		}
	case "select":
		if !slices.Contains(p.Options, pair.Value) {
			return fmt.Errorf("parameter %s of %s: %q is none of %s", p.Name, m.Agent, pair.Value, strings.Join(p.Options, ", "))
		}
	}
	return nil
}

// Missing returns the names of required parameters that params lacks.
func (m *AgentMetadata) Missing(params []NVPair) []string {
	var missing []string
	for _, p := range m.Parameters {
		given := func(pair NVPair) bool { return pair.Name == p.Name }
		if p.Required && !slices.ContainsFunc(params, given) {
			missing = append(missing, p.Name)
		}
	}
	return missing
}

// Bool reads a truth value as OCF agents do.
func Bool(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1", "y", "ja", "oui", "si":
		return true, true
	case "false", "no", "off", "0", "n":
		return false, true
	}
	return false, false
}

// TimeUnit returns what a unit of time in Pacemaker's texts stands for, in upper or
// lower case, and 0 if it is none. A number without a unit is seconds.
func TimeUnit(name string) time.Duration {
	switch strings.ToLower(name) {
	case "", "s", "sec":
		return time.Second
	case "ms", "msec":
		return time.Millisecond
	case "us", "usec":
		return time.Microsecond
	case "m", "min":
		return time.Minute
	case "h", "hr":
		return time.Hour
	}
	return 0
}

// ParseSeconds reads a duration as agents' metadata and fence devices write it: a
// number with one of TimeUnit, or with d for days. Fractions and sequences of units
// ("1h30m", "1.5s") work too.
func ParseSeconds(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	name := strings.TrimLeft(text, "0123456789")
	unit := TimeUnit(strings.TrimSpace(name))
	if name == "d" {
		unit = 24 * time.Hour
	}
	if n, err := strconv.ParseInt(text[:len(text)-len(name)], 10, 64); err == nil && unit > 0 {
		if n > int64(math.MaxInt64/unit) {
			return 0, fmt.Errorf("duration %q is out of range", text)
		}
		return time.Duration(n) * unit, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 20, 20s, 2m or 100ms", text)
	}
	return d, nil
}

// Nearest returns the known name that name is most likely a slip of, or "".
func Nearest(name string, known []string) string {
	best, bestDistance := "", len(name)/3+2
	for _, k := range known {
		if d := editDistance(name, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, cost)
		}
	}
	return row[len(b)]
}
