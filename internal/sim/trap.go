package sim

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// trap waits for a step that hosts go through, and springs once.
type trap struct {
	step  string // one of the steps below; "": any of a change of voters
	host  *Host  // whose; nil: anybody's
	after int    // how many such steps pass by before it springs
	until time.Duration
	do    func(h *Host, step string)
}

// Steps of a change of voters, as a host goes through them, and one more.
const (
	stepWritten  = "written"  // the entry was handed to the disk
	stepSynced   = "synced"   // it is on the disk
	stepAppend   = "append"   // it leaves for a follower
	stepAnswer   = "answer"   // a follower says that it has it
	stepApplied  = "applied"  // the host goes by the new voters
	stepNoted    = "noted"    // and has that on its disk
	stepAnswered = "answered" // it has told a client that a write is done
	stepAlone    = "alone"    // the host has become sole voter of a new lineage
	stepOrdered  = "ordered"  // an order to start something leaves for the host
	stepHelp     = "help"     // the leader's first word leaves for the host: to call a fence device
	stepMigrate  = "migrate " // an operation of a migration begins or ends: with its name
	stepBegins   = "begins "  // an operation begins: with its action
)

// ofVoters are the steps of a change of voters.
var ofVoters = map[string]bool{stepWritten: true, stepSynced: true, stepAppend: true, stepAnswer: true, stepApplied: true, stepNoted: true}

// watching tells whether some trap may still spring.
func (w *World) watching() bool {
	w.traps = slices.DeleteFunc(w.traps, func(t *trap) bool { return w.now > t.until })
	return len(w.traps) > 0
}

// step tells the traps that a host has gone through a step.
func (w *World) step(h *Host, step string) {
	w.note("%s: step %s", h.name, step)
	for _, t := range slices.Clone(w.traps) {
		migrates := t.step == stepMigrate && strings.HasPrefix(step, stepMigrate)
		if t.step != step && !(t.step == "" && ofVoters[step]) && !migrates || t.host != nil && t.host != h {
			continue
		}
		if t.after--; t.after >= 0 {
			continue
		}
		w.traps = slices.DeleteFunc(w.traps, func(o *trap) bool { return o == t })
		w.count("sprung at " + step)
		w.after(0, func() {
			if !w.healed {
				t.do(h, step)
			}
		})
	}
}

// newChange tells whether an entry is the newest change of voters, or a newer one.
func (w *World) newChange(e *raftpb.Entry) bool {
	return e.GetType() != raftpb.EntryNormal && e.GetIndex() >= w.change
}

// votersAre reads what a core says when it goes by other voters.
var votersAre = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^from (\d+) on voters are \[([\d ]*)\] \(outgoing \[([\d ]*)\]\)`)
})

// goBy notes which voters a daemon goes by, and since which change of them.
func (h *Host) goBy(r *event.Ready) {
	w := h.w
	for _, line := range r.Trace {
		m := votersAre().FindStringSubmatch(line)
		if m == nil {
			continue
		}
		index, _ := strconv.ParseUint(m[1], 10, 64)
		h.daemon.applied, h.daemon.voters = index, len(strings.Fields(m[2]+" "+m[3]))
		if index >= w.change && w.watching() {
			w.step(h, stepApplied)
		}
		w.change = max(w.change, index)
		if m[3] == "" && index > w.votes { // newer than all before, and not on the way to others
			ids := strings.Fields(m[2])
			w.votes, w.voters = index, len(ids)
			if w.voters < 3 {
				clear(w.lost) // their time counts anew when three vote again
			}
			h.votes(ids)
		}
	}
}

// votes shows the truth who votes, and who of them leaves: that one may stay for as
// long as it is needed, or has to hand over first.
func (h *Host) votes(ids []string) {
	var stay, leave []string
	for _, word := range ids {
		id, _ := strconv.ParseUint(word, 10, 64)
		name := h.w.owners[id].name
		if m := h.daemon.state.Member(name); m != nil && (m.State == cluster.NodeLeaving || m.State == cluster.NodeOffline) {
			leave = append(leave, name)
		} else {
			stay = append(stay, name)
		}
	}
	h.w.truth.Votes(h.w.now, h.name, stay, leave)
}

// steps looks at what a core wants done for the steps that traps wait for.
func (h *Host) steps(r *event.Ready) {
	w := h.w
	if p := r.Persist; p != nil {
		for _, e := range p.Entries {
			if w.newChange(e) {
				w.change = e.GetIndex()
				w.step(h, stepWritten)
			}
		}
	}
	for i := range r.Messages {
		to := w.byName[r.Messages[i].To]
		if d := r.Messages[i].Dispatch; d != nil && slices.ContainsFunc(d.Orders, func(o event.Order) bool { return o.Operation.Action == "start" && o.Operation.Agent.Class != "stonith" }) {
			w.step(to, stepOrdered)
		}
		if f := r.Messages[i].Fence; f != nil && !f.Go && !f.Call.Asks() {
			w.step(to, stepHelp)
		}
		m := &raftpb.Message{}
		if len(r.Messages[i].Raft) == 0 || proto.Unmarshal(r.Messages[i].Raft, m) != nil {
			continue
		}
		switch {
		case m.GetType() == raftpb.MsgApp && slices.ContainsFunc(m.GetEntries(), w.newChange):
			w.step(h, stepAppend)
		case m.GetType() == raftpb.MsgAppResp && w.change > h.daemon.applied && m.GetIndex() >= w.change:
			w.step(h, stepAnswer)
		}
	}
}

// stepsOnDisk looks at a batch that is durable now.
func (h *Host) stepsOnDisk(p *event.Persist, lineage string) {
	w := h.w
	if slices.ContainsFunc(p.Entries, w.newChange) {
		w.step(h, stepSynced)
	}
	if c := p.HardState.GetCommit(); !p.Reset && w.change > 0 && h.daemon.applied == w.change && c >= w.change && h.daemon.noted < w.change {
		h.daemon.noted = w.change
		w.step(h, stepNoted)
	}
	if p.Reset && p.Identity.Lineage.ID != lineage {
		w.step(h, stepAlone)
	}
}
