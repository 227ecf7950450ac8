package scheduler

// colocation says that where dependent goes depends on where primary goes
// (SEMANTICS 11).
type colocation struct {
	id            string
	dependent     *resource
	primary       *resource
	dependentRole role // roleUnknown: any
	primaryRole   role
	attribute     string // node attribute that makes two nodes the same; "" for the node itself
	score         score
	influence     bool
	builtin       bool
	serial        int // order of creation
}

// mandatory tells whether the colocation is a requirement, not a preference.
func (c *colocation) mandatory() bool { return c.score >= infinity }

// readColocations reads the configured colocation constraints.
func (rn *run) readColocations() {}

// builtinColocations adds the colocations inside groups, of contents with their
// containers, and in bundles.
func (rn *run) builtinColocations() {}
