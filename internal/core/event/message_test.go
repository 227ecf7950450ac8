package event

import (
	"testing"

	"linuxha/internal/cluster"
)

func FuzzDecodeMessage(f *testing.F) {
	for _, m := range []Message{
		{To: "b", From: cluster.Incarnation{Node: "a", Counter: 1, Boot: "x"}, RaftID: 7, Lineage: "l", Term: 3, Number: 9, Raft: []byte{8, 1}},
		{To: "b", Dispatch: &Dispatch{Transition: 1, Orders: []Order{{Number: 1, Action: 2, Operation: Operation{Name: "r", Action: "start"}}}}},
		{To: "b", Contact: &Contact{SentAt: 5, Answer: true}},
		{To: "b", Propose: &Proposal{ID: 1, Request: Request{Barrier: true}}},
		{To: "b", Stale: &Stale{Counter: 4, Commit: 17}},
		{To: "b", Known: &Known{Index: 17, Term: 3}},
	} {
		data, err := EncodeMessage(&m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"v":99}`))
	f.Add([]byte(`{"v":1,"to":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeMessage(data)
		if err != nil {
			return
		}
		again, err := EncodeMessage(m)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := DecodeMessage(again); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
