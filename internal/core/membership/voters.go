// Package membership decides who votes, from what is committed and heard.
package membership

import (
	"cmp"
	"slices"
	"strings"

	"linuxha/internal/cluster/mutant"
)

// MaxVoters is the largest number of voters.
const MaxVoters = 7

// Candidate is a member as far as voting goes.
type Candidate struct {
	ID       uint64 // Raft id
	Name     string
	Voter    bool // in the applied configuration
	Witness  bool
	Leader   bool
	Online   bool
	Heard    bool // it is reachable now
	CaughtUp bool // has nearly all of the log
	Off      bool // confirmed off, or left with everything stopped
	Leaving  bool // it is up, stops everything, and then goes
}

// Target returns how many of n nodes vote: 1, 3, 5 or 7 where possible.
func Target(n int) int {
	switch {
	case n >= MaxVoters:
		return MaxVoters
	case n <= 2:
		return n
	default:
		return n - (n+1)%2
	}
}

// Voters returns the Raft ids that should vote, ascending. Voters that are off
// go; one that is silent but not confirmed off stays, and as long as there is
// such a one no other voter has to leave. One that is leaving goes if those who
// are heard are a majority without it; else it counts for as long as it is up. A
// witness votes only while voting nodes are even in number. Nothing changes as long as
// no majority of the new voters is heard. The result is empty if nobody could vote.
func Voters(candidates []Candidate) []uint64 {
	var keep, spare, witnesses []Candidate
	uncertain := false
	for _, x := range candidates {
		stays := x.Voter && !x.Off && !x.Leaving
		switch {
		case x.Witness:
			if stays || x.Online && x.CaughtUp {
				witnesses = append(witnesses, x)
			}
		case stays:
			keep = append(keep, x)
			uncertain = uncertain || !x.Online
		case x.Online && x.CaughtUp:
			spare = append(spare, x)
		}
	}
	order := func(a, b Candidate) int {
		return cmp.Or(first(a.Leader, b.Leader), first(a.Online, b.Online), strings.Compare(a.Name, b.Name))
	}
	slices.SortFunc(keep, order)
	slices.SortFunc(spare, order)
	slices.SortFunc(witnesses, func(a, b Candidate) int {
		return cmp.Or(first(a.Voter, b.Voter), strings.Compare(a.Name, b.Name))
	})
	want := Target(len(keep) + len(spare))
	chosen := keep
	if len(chosen) > want && !uncertain {
		chosen = chosen[:want]
	}
	chosen = append(slices.Clone(chosen), spare[:max(0, min(want-len(chosen), len(spare)))]...)
	seat := func(nodes []Candidate) []Candidate {
		if len(witnesses) > 0 && (len(nodes)%2 == 0 || mutant.Is("a witness votes beside any number of nodes")) {
			return append(slices.Clone(nodes), witnesses[0])
		}
		return nodes
	}
	chosen = keepMajority(seat(chosen), candidates)
	chosen = seat(slices.DeleteFunc(chosen, func(x Candidate) bool { return x.Witness })) // those who stay count, too
	if heardOf(chosen) <= len(chosen)/2 && len(chosen) > 0 {
		// They could not decide by themselves: that would come into force when the world
		// is another one, and perhaps with voters that are gone for good.
		chosen = slices.DeleteFunc(slices.Clone(candidates), func(x Candidate) bool { return !x.Voter })
	}
	ids := make([]uint64, 0, len(chosen))
	for _, x := range chosen {
		ids = append(ids, x.ID)
	}
	slices.Sort(ids)
	return ids
}

func heardOf(list []Candidate) (n int) {
	for _, x := range list {
		if x.Heard {
			n++
		}
	}
	return n
}

// keepMajority adds voters that are leaving to chosen, by name, until those who
// are heard are a majority.
func keepMajority(chosen, candidates []Candidate) []Candidate {
	heard := heardOf(chosen)
	leaving := slices.Clone(candidates)
	slices.SortFunc(leaving, func(a, b Candidate) int { return strings.Compare(a.Name, b.Name) })
	for _, x := range leaving {
		if heard > len(chosen)/2 {
			break
		}
		if x.Voter && x.Leaving && x.Heard && !x.Off {
			chosen, heard = append(chosen, x), heard+1
		}
	}
	return chosen
}

// first orders what has a property before what has not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
