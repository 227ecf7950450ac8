package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	tokenPrefix = "ha1-"
	secretSize  = 16
	pinSize     = 16
)

var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Token lets one node join. It holds a secret that the cluster knows by its
// hash, and a pin of the cluster's authority, so that the joining node knows
// whom it talks to without asking a person.
type Token struct {
	secret [secretSize]byte
	pin    [pinSize]byte
}

// NewToken makes a token for the cluster of an authority.
func NewToken(authority *x509.Certificate) Token {
	t := Token{pin: pinOf(authority)}
	rand.Read(t.secret[:]) // never fails
	return t
}

// ParseToken reads the text that String made.
func ParseToken(text string) (Token, error) {
	var t Token
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	if !ok || len(rest) != tokenText.EncodedLen(secretSize+pinSize) {
		return t, errors.New("this is not a whole join token: it begins with " + tokenPrefix + " and is printed by 'ha token' on a member")
	}
	raw, err := tokenText.DecodeString(rest)
	if err != nil {
		return t, fmt.Errorf("read join token: %w", err)
	}
	copy(t.secret[:], raw)
	copy(t.pin[:], raw[secretSize:])
	return t, nil
}

// String is what the administrator copies.
func (t Token) String() string {
	return tokenPrefix + tokenText.EncodeToString(append(t.secret[:], t.pin[:]...))
}

// Hash is what the cluster keeps of the token.
func (t Token) Hash() string {
	sum := sha256.Sum256(t.secret[:])
	return hex.EncodeToString(sum[:])
}

// Pinned tells whether a certificate is that of the token's cluster.
func (t Token) Pinned(authority *x509.Certificate) bool {
	pin := pinOf(authority)
	return subtle.ConstantTimeCompare(pin[:], t.pin[:]) == 1
}

func pinOf(authority *x509.Certificate) [pinSize]byte {
	sum := sha256.Sum256(authority.Raw)
	return [pinSize]byte(sum[:pinSize])
}
