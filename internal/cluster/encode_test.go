package cluster

import (
	"testing"
	"time"
)

// begun is the state of a cluster of one node, with a node that may join.
func begun(tb testing.TB) *State {
	first := &Entry{Time: time.Unix(1_700_000_000, 0).UTC(), Commands: []Command{
		{Init: &Init{Lineage: Lineage{ID: "0123456789abcdef0123456789abcdef"}, Config: Config{Name: "c"}, First: Member{Name: "a", RaftID: 1}}},
		{Token: &Token{Hash: "h", Expires: time.Unix(1_800_000_000, 0).UTC()}},
	}}
	s, rejections := (&State{}).Apply(1, first)
	for _, r := range rejections {
		if r != nil {
			tb.Fatal(r)
		}
	}
	return s
}

func TestStateSurvivesItsEncoding(t *testing.T) {
	want := begun(t)
	data, err := EncodeState(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeState(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := EncodeState(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(data) {
		t.Errorf("encoded\n%s\nand again\n%s", data, again)
	}
	for _, bad := range []string{"", "{}", `{"v":2,"state":{}}`, `{"v":1}`, "[]", "\x00"} {
		if _, err := DecodeState([]byte(bad)); err == nil {
			t.Errorf("%q was read as a state", bad)
		}
	}
}

// Whatever is in the log, applying it neither fails nor harms the state before.
func FuzzApply(f *testing.F) {
	for _, seed := range []string{
		`{"v":1,"time":"2024-01-01T00:00:00Z","commands":[{"node":{"incarnation":{"node":"a","counter":1,"boot":"b"},"state":"joining"}}]}`,
		`{"v":1,"time":"2024-01-01T00:00:00Z","atomic":true,"commands":[{"admit":{"member":{"name":"b","raft_id":2},"token_hash":"h"}},{"voters":{"ids":[1,2]}}]}`,
		`{"v":1,"time":"2024-01-01T00:00:00Z","commands":[{"fence":{"target":{"node":"a","counter":0,"boot":""},"action":"off","reason":"r"}},{"fence_done":{"id":0,"target":{"node":"a"},"result":"ok"}}]}`,
		`{"v":1,"time":"2024-01-01T00:00:00Z","commands":[{"grant":{"transition":1,"grants":[{"instance":"r:0","role":"Started","holders":[{"node":"a"},{"node":"a"}]}]}},{"release":{"ids":[1]}}]}`,
		`{"v":1,"time":"2024-01-01T00:00:00Z","commands":[{"fork":{"id":"x","parent":"0123456789abcdef0123456789abcdef","branch":0}},{"forget":{}},{"remove":{"node":"a","raft_id":1}}]}`,
		`{"v":1,"time":"2024-01-01T00:00:00Z","commands":[{"history":{"incarnation":{"node":"a"},"resource":"r","agent":{},"entry":{"operation":"start","call_id":-1,"rc":0,"status":0}}},{"report":{"incarnation":{"node":"a"}}},{}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := DecodeEntry(data)
		if err != nil {
			return
		}
		before := begun(t)
		was, err := EncodeState(before)
		if err != nil {
			t.Fatal(err)
		}
		after, rejections := before.Apply(2, e)
		if len(rejections) != len(e.Commands) {
			t.Errorf("%d answers for %d commands", len(rejections), len(e.Commands))
		}
		if is, _ := EncodeState(before); string(is) != string(was) {
			t.Error("applying changed the state before")
		}
		if _, err := EncodeState(after); err != nil {
			t.Errorf("the state after cannot be stored: %v", err)
		}
	})
}
