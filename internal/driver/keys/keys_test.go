package keys

import (
	"crypto/x509"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
)

func TestIdentity(t *testing.T) {
	authority, err := NewAuthority("web")
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := authority.PEM()
	if err != nil {
		t.Fatal(err)
	}
	if authority, err = ReadAuthority(certificate, key); err != nil {
		t.Fatal(err)
	}
	alpha := issue(t, authority, "alpha")
	if alpha.Node != "alpha" {
		t.Errorf("the identity is of %q", alpha.Node)
	}
	beta := issue(t, authority, "beta")
	if name, err := alpha.Verify([]*x509.Certificate{beta.Certificate.Leaf}); err != nil || name != "beta" {
		t.Errorf("alpha does not know beta: %q, %v", name, err)
	}
	other, err := NewAuthority("web")
	if err != nil {
		t.Fatal(err)
	}
	stranger := issue(t, other, "beta")
	if name, err := alpha.Verify([]*x509.Certificate{stranger.Certificate.Leaf, other.Certificate}); err == nil {
		t.Errorf("a certificate of another cluster was taken for %s", name)
	}
	if Hash(beta.Certificate.Leaf) == Hash(stranger.Certificate.Leaf) {
		t.Error("two keys have one hash")
	}
	_, request, err := NewNodeKey("gamma")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authority.Issue(request, "-x", nil); err == nil {
		t.Error("a bad name was certified")
	}
	request[len(request)-5] ^= 1
	if _, err := authority.Issue(request, "gamma", nil); err == nil {
		t.Error("a request with a broken signature was signed")
	}
}

func issue(t *testing.T, a *Authority, node string) *Identity {
	t.Helper()
	key, request, err := NewNodeKey(node)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := a.Issue(request, node, []netip.Addr{netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	root, _, err := a.PEM()
	if err != nil {
		t.Fatal(err)
	}
	id, err := NewIdentity(certificate, keyPEM, root)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestToken(t *testing.T) {
	authority, err := NewAuthority("web")
	if err != nil {
		t.Fatal(err)
	}
	token := NewToken(authority.Certificate)
	read, err := ParseToken(" " + token.String() + "\n")
	if err != nil || read != token || read.Hash() != token.Hash() || !read.Pinned(authority.Certificate) {
		t.Fatalf("%s was read as %s: %v", token, read, err)
	}
	other, err := NewAuthority("web")
	if err != nil {
		t.Fatal(err)
	}
	if token.Pinned(other.Certificate) {
		t.Error("the token pins another authority too")
	}
	for _, text := range []string{"", "ha1-", token.String()[:20], token.String() + "a", "ha1-" + strings.Repeat("!", 52)} {
		if _, err := ParseToken(text); err == nil {
			t.Errorf("%q was read as a token", text)
		}
	}
}

func TestRing(t *testing.T) {
	ring := NewRing()
	data, err := json.Marshal(ring)
	if err != nil {
		t.Fatal(err)
	}
	var read Ring
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	if key, ok := read.Find(read.Active); !ok || key != ring.Keys[0] {
		t.Error("the ring came back different")
	}
	for _, text := range []string{`{"active":1}`, `{"active":1,"keys":[{"id":1,"secret":"AAAA"}]}`, `{"active":2,"keys":[{"id":1,"secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]}`} {
		if err := json.Unmarshal([]byte(text), &read); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}
