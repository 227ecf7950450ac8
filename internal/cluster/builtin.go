package cluster

import "time"

// Builtin returns the metadata of the built-in agent "ha:NAME", or nil.
func Builtin(name string) *AgentMetadata {
	for _, m := range builtins {
		if m.Agent.Type == name {
			return m
		}
	}
	return nil
}

// BuiltinTypes returns the types of the built-in agents.
func BuiltinTypes() []string {
	names := make([]string, 0, len(builtins))
	for _, m := range builtins {
		names = append(names, m.Agent.Type)
	}
	return names
}

// builtins are read-only. Their monitors are a safety net: the kernel reports
// what changes at once.
var builtins = []*AgentMetadata{
	{
		Agent:   Agent{Class: "ha", Type: "ip"},
		Version: "1.1",
		Short:   "An IPv4 or IPv6 address that moves between nodes",
		Long: "Adds the address to a network interface and tells the neighbours by gratuitous ARP or unsolicited neighbour advertisements, " +
			"in a burst at take-over and now and then afterwards. Before it takes the address over it asks for at most 20 ms whether somebody else " +
			"answers for it, unless the former owner is confirmed off. The loss of the address, of its link or of the carrier is noticed at once.",
		Parameters: []AgentParameter{
			{Name: "address", Type: "string", Required: true, Unique: true, Short: "The address, with or without prefix length",
				Long: "For example 10.0.0.100/24 or 2001:db8::100/64. Without a length it gets that of the interface's network."},
			{Name: "link", Type: "string", Short: "Network interface",
				Long: "By default the interface that is up and whose network contains the address."},
			{Name: "label", Type: "string", Short: "Label of an IPv4 address, such as eth0:web"},
			{Name: "announce_interval", Type: "second", Default: "30s", Reloadable: true, Short: "Time between announcements after the first burst; 0 for none"},
		},
		Actions: []AdvisedAction{
			{Name: "start", Timeout: 20 * time.Second},
			{Name: "stop", Timeout: 20 * time.Second},
			{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
			{Name: "validate-all", Timeout: 20 * time.Second},
			{Name: "reload-agent", Timeout: 20 * time.Second},
			{Name: "meta-data", Timeout: 5 * time.Second},
		},
	},
	{
		Agent:      Agent{Class: "ha", Type: "process"},
		Version:    "1.1",
		Short:      "A command that runs in the foreground",
		Long:       "Starts the command in a session of its own, waits until it is ready, and reports its end within a millisecond. The process outlives the daemon, which finds it again by process id and start time. All that it starts is in a control group of the service's own and ends with it, where the daemon may make such groups: with version 2 control groups, and under systemd with Delegate=yes, as the unit of ha has it. Elsewhere what has left its session and all its parents is not found by a stop.",
		Parameters: append([]AgentParameter{processCommand}, processParameters...),
		Actions:    processActions,
	},
	{
		Agent:   Agent{Class: "ha", Type: "web"},
		Version: "1.1",
		Short:   "A small web server for static files",
		Long:    "Serves the files below a directory, or one fixed text. It listens before its address is there, so it may start before or after it.",
		Parameters: append([]AgentParameter{
			{Name: "directory", Type: "string", Short: "Directory to serve"},
			{Name: "content", Type: "string", Short: "Text to serve instead, at every path"},
			{Name: "port", Type: "integer", Default: "80", Short: "TCP port"},
			{Name: "address", Type: "string", Short: "Address to listen on; default all"},
		}, processControl...),
		Actions: processActions,
	},
}

var processCommand = AgentParameter{Name: "command", Type: "string", Required: true, Short: "Command line",
	Long: "Words separated by blanks; quotes and backslashes work as in a shell, nothing else does, unless shell is true. The command must stay in the foreground."}

var processParameters = append([]AgentParameter{
	{Name: "shell", Type: "boolean", Default: "false", Short: "Run the command by /bin/sh -c"},
	{Name: "directory", Type: "string", Default: "/", Short: "Working directory"},
	{Name: "ready_tcp", Type: "string", Short: "Port, or address:port, that accepts connections once the service is ready",
		Long: "Tried and bounded as ready_command, and asked by recurring monitors too."},
	{Name: "ready_command", Type: "string", Short: "Command line (as command) that exits with 0 once the service is ready",
		Long: "It is tried again until the start's time-out; a try that takes longer than 2 seconds is ended and counts as not ready. Recurring monitors run it too, with their own time-out for it."},
	{Name: "ready_notify", Type: "boolean", Default: "false", Short: "The service sends READY=1 to $NOTIFY_SOCKET once it is ready (sd_notify)"},
}, processControl...)

var processControl = []AgentParameter{
	{Name: "user", Type: "string", Short: "User to run as; default root"},
	{Name: "group", Type: "string", Short: "Group to run as; default the user's own"},
	{Name: "environment", Type: "string", Short: "Words of the form NAME=value, quoted as command", Default: ""},
	{Name: "stop_signal", Type: "string", Default: "TERM", Reloadable: true, Short: "Signal that asks the process to end"},
	{Name: "stop_timeout", Type: "second", Default: "10s", Reloadable: true, Short: "Time after which it is killed"},
	{Name: "log", Type: "string", Short: "File for its output; default a bounded file in the daemon's run directory"},
}

var processActions = []AdvisedAction{
	{Name: "start", Timeout: 30 * time.Second},
	{Name: "stop", Timeout: 30 * time.Second},
	{Name: "monitor", Timeout: 20 * time.Second, Interval: 10 * time.Second},
	{Name: "validate-all", Timeout: 20 * time.Second},
	{Name: "reload-agent", Timeout: 20 * time.Second},
	{Name: "meta-data", Timeout: 5 * time.Second},
}
