package event

// Result codes of OCF agents (Result.Code).
const (
	CodeOK              = 0
	CodeError           = 1 // soft: elsewhere or later it may work
	CodeArgs            = 2 // hard: not on this node
	CodeUnimplemented   = 3
	CodePermission      = 4
	CodeNotInstalled    = 5 // hard; of a probe: not running
	CodeNotConfigured   = 6 // fatal: on no node
	CodeNotRunning      = 7
	CodePromoted        = 8
	CodeFailedPromoted  = 9
	CodeDegraded        = 190 // as CodeOK, flagged
	CodeDegradedPromote = 191 // as CodePromoted, flagged
)

// Execution statuses (Result.Status).
const (
	StatusDone         = 0 // the agent answered: its code counts
	StatusCancelled    = 1
	StatusTimeout      = 2
	StatusNotSupported = 3
	StatusError        = 4 // the agent did not answer; the outcome is unknown
	StatusNotInstalled = 7 // there is no such agent on this node
	StatusNoSecrets    = 11
)
