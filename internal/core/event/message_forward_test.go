package event

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"linuxha/internal/cluster"
)

// What a newer version adds to messages is passed over, wherever it stands, and what
// is known is read as ever.
func TestUnknownMembers(t *testing.T) {
	want := &Message{
		To: "b", From: cluster.Incarnation{Node: "a", Counter: 1<<63 + 1, Boot: "x"}, RaftID: 1<<63 + 3, Lineage: "l", Term: 2, Number: 3,
		Report: &NodeReport{
			Version: "1", Format: 1, Links: []string{"{", `"}`}, Lease: time.Second,
			Report: cluster.Report{Running: []cluster.Running{{Instance: "r:0"}}, History: []cluster.ResourceHistory{{ID: "r"}}},
		},
	}
	data, err := EncodeMessage(want)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	added := 0
	var add func(x any)
	add = func(x any) {
		switch x := x.(type) {
		case map[string]any:
			for _, v := range x {
				add(v)
			}
			x["of_the_next_version"] = map[string]any{"list": []int{1}}
			added++
		case []any:
			for _, v := range x {
				add(v)
			}
		}
	}
	add(tree)
	more, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeMessage(more)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) || added < 5 {
		t.Errorf("with %d unknown members read\n%+v\nwritten was\n%+v", added, got, want)
	}
	if got, err = DecodeMessage([]byte(`{"v":1,"to":"b","of_the_next_version":{}}`)); err != nil || got.To != "b" {
		t.Errorf("a message of an unknown kind: %v", err)
	}
}
