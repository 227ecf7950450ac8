package sim

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// The next version of ha knows one more format of entries and states, which it uses
// when every member knows it: with it comes a kind of command that the present version
// does not know. Its messages carry members everywhere that the present version does
// not know, and sometimes something that is new altogether.

func (h *Host) version() string {
	if h.next {
		return "2"
	}
	return "1"
}

// format is the newest that the installed version knows.
func (h *Host) format() int {
	if h.next {
		return cluster.Format + 1
	}
	return cluster.Format
}

// knows is the newest that the running daemon knows.
func (h *Host) knows() int {
	if h.daemon.next {
		return cluster.Format + 1
	}
	return cluster.Format
}

// upgrade installs a version on one host after the other, back to the present one if
// not next: each daemon announces its restart, and comes back while services go on.
// Now and then people think better of it, and take back what they have done.
func (w *World) upgrade(i int, next bool) {
	if i >= len(w.hosts) || w.healed {
		return
	}
	if i > 0 && w.chance(0.1) {
		w.count("upgrade taken back")
		w.upgrade(0, !next)
		return
	}
	if h := w.hosts[i]; h.next != next {
		h.next = next
		if next {
			w.count("daemon upgraded")
		} else {
			w.count("daemon downgraded")
		}
		if h.daemon != nil && h.awake <= w.now {
			h.daemonStep(event.Stopping{Restart: true})
		}
	}
	w.after(w.between(2*time.Second, 8*time.Second), func() { w.upgrade(i+1, next) })
}

// tooOld: the installed version refuses to take part, and says that a newer one has
// to be installed. People do that.
func (h *Host) tooOld(why string) {
	w := h.w
	w.note("%s: too old: %s", h.name, why)
	w.count("version refused")
	boot := h.boots
	w.after(w.between(time.Second, 5*time.Second), func() {
		h.next = true
		if h.power && h.boots == boot && !h.stopped {
			h.start()
		}
	})
}

// followFormat watches that no format comes into use that shuts out somebody who
// takes part.
func (w *World) followFormat(s *cluster.State) {
	if s.FormatInUse() <= max(w.format, cluster.Format) {
		return
	}
	w.format = s.FormatInUse()
	w.count("format raised")
	for i := range s.Members {
		m := &s.Members[i]
		if h := w.byName[m.Name]; h.daemon != nil && h.daemon.self == m.Incarnation && !h.daemon.next {
			w.truth.Shut(w.now, "the cluster", h.name, w.format)
		}
	}
}

// The next version is made of the present code. So its new kind of command is what the
// code calls a token, which the clients write: it gets another name on the way out of a
// daemon of the next version, to its disk and to daemons of the present one, and its
// own on the way in.
var kinds = map[bool][2][]byte{
	true:  {[]byte(`{"token":{`), []byte(`{"ledger":{`)},
	false: {[]byte(`{"ledger":{`), []byte(`{"token":{`)},
}

// newKinds returns entries with the new kind of command as a daemon of the next version
// writes it (out), or as the code reads it. Entries of the present format have none.
func newKinds(entries []*raftpb.Entry, out bool) (list []*raftpb.Entry, found int) {
	next, names := []byte(fmt.Sprintf(`{"v":%d,`, cluster.Format+1)), kinds[out]
	for i, e := range entries {
		if !bytes.HasPrefix(e.GetData(), next) || !bytes.Contains(e.GetData(), names[0]) {
			continue
		}
		if found++; found == 1 {
			list = slices.Clone(entries)
		}
		list[i] = &raftpb.Entry{Term: e.Term, Index: e.Index, Type: e.Type, Data: bytes.ReplaceAll(e.GetData(), names[0], names[1])}
	}
	if found == 0 {
		return entries, 0
	}
	return list, found
}

// written is a batch as a daemon's disk gets it.
func (h *Host) written(p *event.Persist) *event.Persist {
	if !h.daemon.next || len(p.Entries) == 0 {
		return p
	}
	entries, found := newKinds(p.Entries, true)
	if found == 0 {
		return p
	}
	h.w.count("command of the next version")
	other := *p
	other.Entries = entries
	return &other
}

// read is a disk's content as a daemon reads it.
func (h *Host) read() event.Stored {
	s := h.disk.stored
	if h.next {
		s.Entries, _ = newKinds(s.Entries, false)
	}
	return s
}

// translated is a message of Raft as a daemon of the other version gets it.
func (n *network) translated(data []byte, out bool) []byte {
	if n.w.format <= cluster.Format {
		return data
	}
	m := &raftpb.Message{}
	if err := proto.Unmarshal(data, m); err != nil {
		panic(fmt.Sprintf("decode a message of Raft: %v", err))
	}
	entries, found := newKinds(m.Entries, out)
	if found == 0 {
		return data
	}
	m.Entries = entries
	data, err := proto.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("encode a message of Raft: %v", err))
	}
	return data
}

// encoded is what a daemon reads of a message that one of the next version wrote: it
// goes through the codec, and has in every object a member that nobody knows yet.
func (n *network) encoded(from, to *Host, m event.Message) event.Message {
	w := n.w
	if from.daemon == nil || to.daemon == nil || from.daemon.next == to.daemon.next {
		return m
	}
	if m.Raft != nil {
		m.Raft = n.translated(m.Raft, from.daemon.next)
	}
	if !from.daemon.next {
		return m
	}
	if m.Raft != nil || m.Contact != nil { // most messages by far, and all alike
		if n.alike++; n.alike%16 != 0 {
			return m
		}
	}
	w.count("message of the next version")
	data, err := event.EncodeMessage(&m)
	if err != nil {
		panic(fmt.Sprintf("encode a message: %v", err))
	}
	read, err := event.DecodeMessage(withUnknown(data))
	if err != nil {
		panic(fmt.Sprintf("the present version cannot read what the next one sends: %v", err))
	}
	if w.chance(0.01) { // a kind of its own comes before it
		w.count("message of an unknown kind")
		none := event.Message{To: m.To, From: m.From, RaftID: m.RaftID, Lineage: m.Lineage, Term: m.Term, Number: m.Number, For: m.For}
		w.after(n.latency(&n.paths[0][from.index][to.index]), func() { to.whenAwake(func() { to.received(from.name, none) }, false) })
	}
	return *read
}

// withUnknown adds a member to every object of a JSON text.
func withUnknown(data []byte) []byte {
	const member = `"of_the_next_version":"2"`
	out := make([]byte, 0, 2*len(data))
	quoted := false
	for i := 0; i < len(data); i++ {
		c := data[i]
		out = append(out, c)
		switch {
		case quoted && c == '\\':
			i++
			out = append(out, data[i])
		case c == '"':
			quoted = !quoted
		case !quoted && c == '{':
			out = append(out, member...)
			if data[i+1] != '}' {
				out = append(out, ',')
			}
		}
	}
	return out
}
