package sim

import (
	"slices"
	"strings"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

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
	stepMigrate  = "migrate " // an operation of a migration begins or ends: with its name
	stepBegins   = "begins "  // an operation begins: with its action
)

// watching tells whether some trap may still spring.
func (w *World) watching() bool {
	w.traps = slices.DeleteFunc(w.traps, func(t *trap) bool { return w.now > t.until })
	return len(w.traps) > 0
}

// step tells the traps that a host has gone through a step.
func (w *World) step(h *Host, step string) {
	w.note("%s: step %s", h.name, step)
	for _, t := range slices.Clone(w.traps) {
		apart := step == stepAlone || step == stepAnswered || strings.HasPrefix(step, stepMigrate) || strings.HasPrefix(step, stepBegins)
		migrates := t.step == stepMigrate && strings.HasPrefix(step, stepMigrate)
		if t.step != step && !(t.step == "" && !apart) && !migrates || t.host != nil && t.host != h {
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

func changesVoters(e *raftpb.Entry) bool { return e.GetType() != raftpb.EntryNormal }

// steps looks at what a core wants done for the steps of a change of voters.
func (h *Host) steps(r *event.Ready) {
	w := h.w
	if p := r.Persist; p != nil {
		for _, e := range p.Entries {
			if changesVoters(e) {
				w.change = max(w.change, e.GetIndex())
				w.step(h, stepWritten)
			}
		}
	}
	for _, line := range r.Trace {
		if strings.Contains(line, "on voters are") {
			h.daemon.applied = w.change
			w.step(h, stepApplied)
		}
	}
	for i := range r.Messages {
		if len(r.Messages[i].Raft) == 0 {
			continue
		}
		m := &raftpb.Message{}
		if proto.Unmarshal(r.Messages[i].Raft, m) != nil {
			continue
		}
		switch {
		case m.GetType() == raftpb.MsgApp && slices.ContainsFunc(m.GetEntries(), changesVoters):
			w.step(h, stepAppend)
		case m.GetType() == raftpb.MsgAppResp && w.change > h.daemon.applied && m.GetIndex() >= w.change:
			w.step(h, stepAnswer)
		}
	}
}

// stepsOnDisk looks at a batch that is durable now.
func (h *Host) stepsOnDisk(p *event.Persist, lineage string) {
	w := h.w
	if slices.ContainsFunc(p.Entries, changesVoters) {
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
