package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"sync"
	"time"
)

// Certificates do not expire: membership says who belongs to the cluster, and a
// host whose clock starts in 1970 must be able to join it.
var (
	notBefore = time.Unix(0, 0).UTC()
	notAfter  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // RFC 5280, 4.1.2.5: no defined expiry
)

// Authority is the cluster's own certificate authority. Every node holds it, so
// that any of them can admit another.
type Authority struct {
	Certificate *x509.Certificate
	key         crypto.Signer
}

// NewAuthority makes the authority of a new cluster.
func NewAuthority(cluster string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the cluster's authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "ha cluster " + cluster},
		NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the cluster's authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the cluster's authority: %w", err)
	}
	return &Authority{Certificate: certificate, key: key}, nil
}

// ReadAuthority reads an authority from its PEM forms.
func ReadAuthority(certificatePEM, keyPEM []byte) (*Authority, error) {
	certificate, err := ReadCertificate(certificatePEM)
	if err != nil {
		return nil, err
	}
	key, err := readKey(keyPEM)
	if err != nil {
		return nil, err
	}
	if public, ok := certificate.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return nil, errors.New("the authority's key does not belong to its certificate")
	}
	return &Authority{Certificate: certificate, key: key}, nil
}

// PEM returns the forms that ReadAuthority reads.
func (a *Authority) PEM() (certificate, key []byte, err error) {
	key, err = writeKey(a.key)
	return certificatePEM(a.Certificate.Raw), key, err
}

// Issue signs a node's request. Only its public key is used: the name and the
// addresses are those that the cluster admits.
func (a *Authority) Issue(request []byte, node string, addresses []netip.Addr) ([]byte, error) {
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, fmt.Errorf("read certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("check certificate request: %w", err)
	}
	if err := CheckName(node); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: node}, DNSNames: []string{node},
		NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, address.Unmap().AsSlice())
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, csr.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", node, err)
	}
	return certificatePEM(der), nil
}

// NodeKey is a node's private key.
type NodeKey struct{ signer crypto.Signer }

// NewNodeKey makes a node's key and the request for its certificate.
func NewNodeKey(node string) (*NodeKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the node's key: %w", err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: node}}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make the node's certificate request: %w", err)
	}
	return &NodeKey{signer: key}, request, nil
}

// PEM returns the key's stored form.
func (k *NodeKey) PEM() ([]byte, error) { return writeKey(k.signer) }

// Identity is what a node shows and believes in TLS.
type Identity struct {
	Node        string
	Certificate tls.Certificate
	Authority   *x509.Certificate
	roots       *x509.CertPool
}

// NewIdentity puts a node's identity together from the PEM forms of its
// certificate, its key and the authority's certificate.
func NewIdentity(certificate, key, authority []byte) (*Identity, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("read the node's certificate: %w", err)
	}
	root, err := ReadCertificate(authority)
	if err != nil {
		return nil, err
	}
	id := &Identity{Certificate: pair, Authority: root, roots: x509.NewCertPool()}
	id.roots.AddCert(root)
	if id.Node, err = id.Verify([]*x509.Certificate{pair.Leaf}); err != nil {
		return nil, fmt.Errorf("the node's own certificate: %w", err)
	}
	// A joining node pins the authority, so it is shown as well.
	id.Certificate.Certificate = append(id.Certificate.Certificate, root.Raw)
	return id, nil
}

// Verify checks the certificates that a peer showed and returns the name of its node.
func (id *Identity) Verify(shown []*x509.Certificate) (string, error) {
	if len(shown) == 0 {
		return "", errors.New("the peer showed no certificate")
	}
	leaf := shown[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: id.roots, CurrentTime: notBefore.Add(time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return "", fmt.Errorf("not a certificate of this cluster: %w", err)
	}
	if err := CheckName(leaf.Subject.CommonName); err != nil {
		return "", err
	}
	return leaf.Subject.CommonName, nil
}

// Hash identifies the key of a certificate (SHA-256 of its public key, in hex):
// a member is the node that joined with this key.
func Hash(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

var nodeName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
})

// CheckName reports what is wrong with a node's name.
func CheckName(name string) error {
	if !nodeName().MatchString(name) {
		return fmt.Errorf("%.80q cannot be a node's name: use 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends", name)
	}
	return nil
}

// ReadCertificate reads one certificate from PEM.
func ReadCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("read certificate: no PEM certificate there")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return certificate, nil
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func writeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func readKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("read private key: no PEM key there")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("read private key: it cannot sign")
	}
	return signer, nil
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}
