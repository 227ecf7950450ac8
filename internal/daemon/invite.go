package daemon

import (
	"fmt"
	"net/netip"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/driver/keys"
	"linuxha/internal/driver/link"
)

// TokenValid is how long a join token is good for, unless said otherwise.
const TokenValid = time.Hour

// Invitation lets one node join.
type Invitation struct {
	Token   string
	Join    string // the command to type on the new node
	Expires time.Time
	Command cluster.Command // makes the cluster know the token
}

func invite(authority *keys.Authority, member netip.AddrPort, valid time.Duration) *Invitation {
	token := keys.NewToken(authority.Certificate)
	expires := time.Now().Add(valid).UTC()
	return &Invitation{
		Token: token.String(), Expires: expires,
		Join:    fmt.Sprintf("ha join %s --token %s", link.FormatAddress(member), token),
		Command: cluster.Command{Token: &cluster.Token{Hash: token.Hash(), Expires: expires}},
	}
}

// Invite makes a token that is good once the cluster has committed its Command.
func Invite(root Root, valid time.Duration) (*Invitation, error) {
	settings, err := ReadSettings(root)
	if err != nil {
		return nil, err
	}
	links, err := link.ParseAddresses(settings.Links)
	if err != nil {
		return nil, err
	}
	c, err := readCredentials(root)
	if err != nil {
		return nil, err
	}
	return invite(c.authority, links[0], valid), nil
}
