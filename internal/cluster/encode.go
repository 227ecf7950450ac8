package cluster

import (
	"encoding/json"
	"fmt"
)

// MaxState bounds an encoded State, in bytes.
const MaxState = 32 << 20

type encodedState struct {
	Version int    `json:"v"`
	State   *State `json:"state"`
}

// EncodeState returns the stored form of s, as snapshots carry it.
func EncodeState(s *State) ([]byte, error) {
	data, err := json.Marshal(encodedState{s.FormatInUse(), s})
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	if len(data) > MaxState {
		return nil, fmt.Errorf("encode state: %d bytes, at most %d are allowed", len(data), MaxState)
	}
	return data, nil
}

// DecodeState reads what EncodeState wrote. It refuses formats newer than knows
// (ErrFormat).
func DecodeState(data []byte, knows int) (*State, error) {
	if len(data) > MaxState {
		return nil, fmt.Errorf("decode state: %d bytes, at most %d are allowed", len(data), MaxState)
	}
	var e encodedState
	err := json.Unmarshal(data, &e)
	switch {
	case e.Version > knows:
		return nil, fmt.Errorf("decode state: format %d, this daemon knows %d: %w", e.Version, knows, ErrFormat)
	case err != nil:
		return nil, fmt.Errorf("decode state: %w", err)
	case e.Version < 1:
		return nil, fmt.Errorf("decode state: format %d: there is none", e.Version)
	}
	if e.State == nil {
		return nil, fmt.Errorf("decode state: there is none")
	}
	return e.State, nil
}
