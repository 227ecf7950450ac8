package scheduler

import (
	"cmp"
	"strings"
)

// clusterOptions are the evaluated cluster options (SEMANTICS 4). Times in ms.
type clusterOptions struct {
	noQuorum            noQuorumPolicy
	symmetric           bool
	fencing             bool
	fenceAction         string // reboot, off
	fenceTimeout        int64
	haveWatchdog        bool
	startupFencing      bool
	concurrentFencing   bool
	fenceRemoteNoQuorum bool
	priorityDelay       int64
	nodePendingTimeout  int64
	stopAll             bool
	stopRemoved         bool
	cancelRemoved       bool
	maintenance         bool
	startFailureFatal   bool
	startupProbes       bool
	strategy            placementStrategy
	healthStrategy      string
	healthBase          score
	healthGreen         score
	healthYellow        score
	healthRed           score
	shutdownLock        bool
	shutdownLockLimit   int64
	clusterName         string
	clusterDelay        int64
}

// noQuorumPolicy is what a partition without quorum does.
type noQuorumPolicy uint8

const (
	noQuorumStop noQuorumPolicy = iota
	noQuorumFreeze
	noQuorumIgnore
	noQuorumDemote
	noQuorumFence
)

// placementStrategy says whether and how utilization matters.
type placementStrategy uint8

const (
	strategyDefault placementStrategy = iota
	strategyUtilization
	strategyMinimal
	strategyBalanced
)

// readOptions evaluates the cluster options (SEMANTICS 4).
func (rn *run) readOptions() {
	values := map[string]string{}
	for _, set := range rn.orderSets(rn.config.Options, "cib-bootstrap-options") {
		rn.attributeSet(set, ruleContext{}, values)
	}
	flag := func(name string, def bool) bool { return boolOr(values[name], def) }
	span := func(name string, def int64) int64 {
		if v, ok := values[name]; ok {
			return parseDuration(v)
		}
		return def
	}
	rn.quorate = rn.status.Quorate
	o := &rn.options
	*o = clusterOptions{
		symmetric:           flag("symmetric-cluster", true),
		fencing:             flag("fencing-enabled", true),
		fenceAction:         "reboot",
		fenceTimeout:        span("fencing-timeout", 60_000),
		haveWatchdog:        flag("have-watchdog", false) || rn.status.HaveWatchdog,
		startupFencing:      flag("startup-fencing", true),
		concurrentFencing:   flag("concurrent-fencing", true),
		fenceRemoteNoQuorum: flag("fence-remote-without-quorum", false),
		priorityDelay:       span("priority-fencing-delay", 0),
		nodePendingTimeout:  span("node-pending-timeout", 0),
		stopAll:             flag("stop-all-resources", false),
		stopRemoved:         flag("stop-removed-resources", true),
		cancelRemoved:       flag("cancel-removed-actions", true),
		maintenance:         flag("maintenance-mode", false),
		startFailureFatal:   flag("start-failure-is-fatal", true),
		startupProbes:       flag("enable-startup-probes", true),
		healthStrategy:      values["node-health-strategy"],
		healthBase:          parseScore(values["node-health-base"], 0),
		healthGreen:         parseScore(values["node-health-green"], 0),
		healthYellow:        parseScore(values["node-health-yellow"], 0),
		healthRed:           parseScore(values["node-health-red"], -infinity),
		shutdownLock:        flag("shutdown-lock", false),
		shutdownLockLimit:   span("shutdown-lock-limit", 0),
		clusterName:         cmp.Or(values["cluster-name"], rn.config.Name),
		clusterDelay:        span("cluster-delay", 60_000),
	}
	if a := values["fencing-action"]; a == "off" || a == "poweroff" {
		o.fenceAction = "off"
	}
	if o.clusterName == "" {
		o.clusterName = rn.config.Name
	}
	switch values["placement-strategy"] {
	case "utilization":
		o.strategy = strategyUtilization
	case "minimal":
		o.strategy = strategyMinimal
	case "balanced":
		o.strategy = strategyBalanced
	}
	rn.readQuorumPolicy(values["no-quorum-policy"])
	rn.fencingReady = o.fencing && (o.haveWatchdog || rn.status.FencingUsable)
}

func (rn *run) readQuorumPolicy(policy string) {
	o := &rn.options
	switch strings.ToLower(policy) {
	case "freeze":
		o.noQuorum = noQuorumFreeze
	case "ignore":
		o.noQuorum = noQuorumIgnore
	case "demote":
		o.noQuorum = noQuorumDemote
	case "fence", "suicide":
		if o.fencing && (rn.status.QuorumPanic || rn.quorate) {
			o.noQuorum = noQuorumFence
		}
	}
}
