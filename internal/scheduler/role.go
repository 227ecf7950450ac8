package scheduler

// role is what an instance does on a node. The order is meaningful: "next role
// is higher" compares these values (SEMANTICS 1).
type role uint8

const (
	roleUnknown role = iota
	roleStopped
	roleStarted
	roleUnpromoted
	rolePromoted
)

func (r role) String() string {
	switch r {
	case roleStopped:
		return "Stopped"
	case roleStarted:
		return "Started"
	case roleUnpromoted:
		return "Unpromoted"
	case rolePromoted:
		return "Promoted"
	}
	return "Unknown"
}

// parseRole reads a role's name, old names included; roleUnknown if it is none.
func parseRole(text string) role {
	switch text {
	case "Stopped", "stopped":
		return roleStopped
	case "Started", "started":
		return roleStarted
	case "Unpromoted", "unpromoted", "Slave", "slave":
		return roleUnpromoted
	case "Promoted", "promoted", "Master", "master":
		return rolePromoted
	}
	return roleUnknown
}
