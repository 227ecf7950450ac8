// Package keystest makes identities for tests.
package keystest

import (
	"testing"

	"linuxha/internal/driver/keys"
)

// NewAuthority makes the authority of a new cluster.
func NewAuthority(t testing.TB) *keys.Authority {
	t.Helper()
	authority, err := keys.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// NewIdentity makes the identity of a node of the authority's cluster.
func NewIdentity(t testing.TB, authority *keys.Authority, node string) *keys.Identity {
	t.Helper()
	key, request, err := keys.NewNodeKey(node)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Issue(request, node, nil)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	root, _, err := authority.PEM()
	if err != nil {
		t.Fatal(err)
	}
	identity, err := keys.NewIdentity(certificate, keyPEM, root)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}
