package credential

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ParseKeys reads a file of public keys: one or several PEM blocks (a public key as PKIX or PKCS #1, or a
// certificate), or a JSON Web Key or key set (RFC 7517). Every key in the file is trusted.
//
// A certificate is only the envelope of its key: neither its dates nor its issuer are checked. A private key is
// refused, because the gateway has no use for it and should not be given it. So is a certificate that issued another
// one in the file: whoever holds a CA's key is not meant to sign tokens.
func ParseKeys(file []byte) (*KeySet, error) {
	if json := bytes.TrimLeft(file, " \t\r\n"); len(json) > 0 && json[0] == '{' {
		return parseKeyFileJSON(json)
	}
	set := new(KeySet)
	var certs []*x509.Certificate
	for n, rest := 1, file; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(bytes.TrimSpace(rest)) > 0 && bytes.Contains(rest, []byte("-----BEGIN ")) {
				return nil, fmt.Errorf("PEM block %d is broken", n)
			}
			break
		}
		public, cert, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		k, err := newPublicKey("", "", public)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		if cert != nil {
			certs = append(certs, cert)
		}
		set.keys = append(set.keys, k)
	}
	if len(set.keys) == 0 {
		return nil, errors.New("no key found: a key file holds PEM blocks, or a JSON Web Key Set")
	}
	if len(set.keys) > maxTries {
		return nil, fmt.Errorf("the file holds %d keys: %d is the most", len(set.keys), maxTries)
	}
	return set, checkIssuers(certs)
}

// parseBlock returns the public key of one PEM block, and the certificate where it came in one.
func parseBlock(block *pem.Block) (public any, cert *x509.Certificate, err error) {
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		if cert, err = x509.ParseCertificate(block.Bytes); err != nil {
			break
		}
		if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
			return nil, nil, errors.New("the certificate is not for digital signatures (its key usage says so)")
		}
		public = cert.PublicKey
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY":
		err = errors.New("a private key: give the gateway only its public half")
	default:
		err = fmt.Errorf("%s is neither a public key nor a certificate", shown(block.Type))
	}
	return public, cert, err
}

// checkIssuers refuses a certificate that issued another of the file.
func checkIssuers(certs []*x509.Certificate) error {
	for _, ca := range certs {
		for _, cert := range certs {
			if ca.Equal(cert) || bytes.Equal(ca.RawSubject, cert.RawSubject) || !bytes.Equal(ca.RawSubject, cert.RawIssuer) {
				continue
			}
			if cert.CheckSignatureFrom(ca) == nil {
				return fmt.Errorf("the certificate of %s issued another one in the file: only the signer's own belongs here", shown(ca.Subject.String()))
			}
		}
	}
	return nil
}
