package cluster

import (
	"errors"
	"fmt"
	"strings"
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
	got, err := DecodeState(data, Format)
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
		if _, err := DecodeState([]byte(bad), Format); err == nil {
			t.Errorf("%q was read as a state", bad)
		}
	}
}

// What a newer version wrote is refused for what it is: it must be told apart from
// damage, after which a node drops what it has.
func TestNewerFormat(t *testing.T) {
	s := begun(t)
	s.Format = Format + 1
	state, err := EncodeState(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeState(state, Format); !errors.Is(err, ErrFormat) {
		t.Errorf("a newer state: %v", err)
	}
	if got, err := DecodeState(state, Format+1); err != nil || got.Format != Format+1 {
		t.Errorf("a state of a known format: %v", err)
	}
	entry, err := EncodeEntry(&Entry{Version: Format + 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeEntry(entry, Format); !errors.Is(err, ErrFormat) {
		t.Errorf("a newer entry: %v", err)
	}
	if _, err := DecodeEntry(entry, Format+1); err != nil {
		t.Errorf("an entry of a known format: %v", err)
	}
	if _, err := DecodeEntry([]byte(`{"v":2,"commands":[{"of_the_next_version":{}}]}`), Format); !errors.Is(err, ErrFormat) {
		t.Errorf("a newer entry with an unknown command: %v", err)
	}
	if _, err := DecodeEntry([]byte(`{"v":1,"commands":[{"of_the_next_version":{}}]}`), Format); err == nil || errors.Is(err, ErrFormat) {
		t.Errorf("an unknown command in a known format: %v", err)
	}
}

// A newer format comes into use when every member knows it, for all who can come back.
func TestFormatChange(t *testing.T) {
	s := begun(t)
	at := time.Unix(1_700_000_001, 0).UTC()
	apply := func(c Command) *Rejection {
		next, rejections := s.Apply(s.Index+1, &Entry{Time: at, Commands: []Command{c}})
		s = next
		return rejections[0]
	}
	raise := Command{Format: &FormatChange{Format: 2}}
	if apply(raise) == nil {
		t.Fatal("raised though the only member knows the first format")
	}
	online := func(name string, counter uint64, format int) {
		i := Incarnation{Node: name, Counter: counter, Boot: fmt.Sprint(name, counter)}
		for _, c := range []Command{
			{Node: &NodeChange{Incarnation: i, State: NodeJoining}}, {Report: &Report{Incarnation: i}},
			{Node: &NodeChange{Incarnation: i, State: NodeOnline, Version: "x", Format: format}},
		} {
			if r := apply(c); r != nil {
				t.Fatalf("%s: %v", name, r)
			}
		}
	}
	online("a", 1, 2)
	if r := apply(Command{Admit: &Admit{Member: Member{Name: "b", RaftID: 2, Format: 1}, TokenHash: "h"}}); r != nil {
		t.Fatal(r)
	}
	if apply(raise) == nil {
		t.Fatal("raised though a member that was never online knows the first format only")
	}
	online("b", 1, 2)
	if r := apply(Command{Node: &NodeChange{Incarnation: s.Member("b").Incarnation, State: NodeLost}}); r != nil {
		t.Fatal(r)
	}
	if apply(raise) == nil {
		t.Fatal("raised though a member is lost")
	}
	online("b", 2, 2)
	if r := apply(raise); r != nil || s.FormatInUse() != 2 {
		t.Fatalf("not raised though all know it: %v", r)
	}
	i := Incarnation{Node: "b", Counter: 3, Boot: "b3"}
	if r := apply(Command{Node: &NodeChange{Incarnation: i, State: NodeJoining}}); r != nil {
		t.Fatal(r)
	}
	if r := apply(Command{Node: &NodeChange{Incarnation: i, State: NodeOnline, Version: "x", Format: 1}}); r == nil {
		t.Error("a daemon that does not know the format in use takes part")
	}
	if r := apply(Command{Admit: &Admit{Member: Member{Name: "c", RaftID: 3}, TokenHash: "h"}}); r == nil || !strings.Contains(r.Text, "format") {
		t.Errorf("a node that does not know the format in use is admitted: %v", r)
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
		e, err := DecodeEntry(data, Format)
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
