package cluster

import (
	"encoding/json"
	"fmt"
)

// StateVersion is the version of the encoding of State that this code writes.
const StateVersion = 1

// MaxState bounds an encoded State, in bytes.
const MaxState = 32 << 20

type encodedState struct {
	Version int    `json:"v"`
	State   *State `json:"state"`
}

// EncodeState returns the stored form of s, as snapshots carry it.
func EncodeState(s *State) ([]byte, error) {
	data, err := json.Marshal(encodedState{StateVersion, s})
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	if len(data) > MaxState {
		return nil, fmt.Errorf("encode state: %d bytes, at most %d are allowed", len(data), MaxState)
	}
	return data, nil
}

// DecodeState reads what EncodeState wrote.
func DecodeState(data []byte) (*State, error) {
	if len(data) > MaxState {
		return nil, fmt.Errorf("decode state: %d bytes, at most %d are allowed", len(data), MaxState)
	}
	var e encodedState
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("decode state: %w", err)
	}
	if e.Version != StateVersion {
		return nil, fmt.Errorf("decode state: version %d, this daemon knows %d", e.Version, StateVersion)
	}
	if e.State == nil {
		return nil, fmt.Errorf("decode state: there is none")
	}
	return e.State, nil
}
