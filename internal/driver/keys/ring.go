// Package keys holds a cluster's secrets: the cluster key that seals heartbeats,
// the certificate authority and the nodes' certificates, and join tokens.
package keys

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
)

// Key is one cluster key.
type Key struct {
	ID     byte
	Secret [32]byte
}

// Ring holds the cluster keys that are accepted; the active one seals. To
// change the key, every node first accepts the new one, then makes it active,
// then forgets the old one.
type Ring struct {
	Active byte
	Keys   []Key
}

// NewRing returns a ring with one fresh key.
func NewRing() *Ring {
	key := Key{ID: 1}
	rand.Read(key.Secret[:]) // never fails
	return &Ring{Active: key.ID, Keys: []Key{key}}
}

// Find returns the key with an id.
func (r *Ring) Find(id byte) (Key, bool) {
	for _, key := range r.Keys {
		if key.ID == id {
			return key, true
		}
	}
	return Key{}, false
}

type ringJSON struct {
	Active byte      `json:"active"`
	Keys   []keyJSON `json:"keys"`
}

type keyJSON struct {
	ID     byte   `json:"id"`
	Secret []byte `json:"secret"`
}

// MarshalJSON writes secrets in base64.
func (r *Ring) MarshalJSON() ([]byte, error) {
	out := ringJSON{Active: r.Active}
	for _, key := range r.Keys {
		out.Keys = append(out.Keys, keyJSON{ID: key.ID, Secret: key.Secret[:]})
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Ring) UnmarshalJSON(data []byte) error {
	var in ringJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("read cluster keys: %w", err)
	}
	ring := Ring{Active: in.Active}
	for _, key := range in.Keys {
		if len(key.Secret) != 32 {
			return fmt.Errorf("read cluster keys: key %d has %d bytes, not 32", key.ID, len(key.Secret))
		}
		ring.Keys = append(ring.Keys, Key{ID: key.ID, Secret: [32]byte(key.Secret)})
	}
	if _, ok := ring.Find(ring.Active); !ok {
		return fmt.Errorf("read cluster keys: the active key %d is missing", ring.Active)
	}
	*r = ring
	return nil
}
