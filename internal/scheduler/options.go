package scheduler

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

// readOptions evaluates the cluster options.
func (rn *run) readOptions() {}
