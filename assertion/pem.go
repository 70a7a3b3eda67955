package assertion

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxKeyFile bounds a key file, in bytes.
const maxKeyFile = 64 << 10

// keySuffix is how key files in a directory end.
const keySuffix = ".pem"

// ReadKeys reads private keys of Ed25519 in PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` writes them. A path is
// a file, which may hold several keys, or a directory, of which the files *.pem are read in the order of their names.
// The first key of all signs. No error shows anything of a key.
func ReadKeys(paths ...string) (*KeySet, error) {
	var keys []*Key
	for _, path := range paths {
		files, err := keyFiles(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			list, err := readKeyFile(file)
			if err != nil {
				return nil, err
			}
			keys = append(keys, list...)
		}
	}
	return NewKeySet(keys...)
}

// keyFiles returns the path itself, or the key files in it when it is a directory.
func keyFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path) // by name
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), keySuffix) {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no file *%s", path, keySuffix)
	}
	return files, nil
}

func readKeyFile(path string) ([]*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxKeyFile)
	}
	keys, err := ParseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// ParseKeys reads the private keys of a file in PEM, in their order, one at least.
func ParseKeys(file []byte) ([]*Key, error) {
	var keys []*Key
	for n, rest := 1, file; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if bytes.Contains(rest, []byte("-----BEGIN ")) {
				return nil, fmt.Errorf("PEM block %d is broken", n)
			}
			break
		}
		k, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		if keys = append(keys, k); len(keys) > MaxKeys {
			return nil, fmt.Errorf("more than %d keys", MaxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no key found: an Ed25519 private key in PEM (PKCS #8) is needed")
	}
	return keys, nil
}

// parseBlock returns the key of one PEM block. What the parser says of a private key is not repeated.
func parseBlock(block *pem.Block) (*Key, error) {
	switch block.Type {
	case "PRIVATE KEY":
		private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, errors.New("not a private key of PKCS #8")
		}
		if ed, ok := private.(ed25519.PrivateKey); ok {
			return NewKey(ed)
		}
		return nil, errors.New("not an Ed25519 key")
	case "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE":
		return nil, errors.New("only a public key: the private one is needed to sign")
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the key is encrypted: the gateway has no passphrase")
	case "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY":
		return nil, errors.New("not an Ed25519 key in PKCS #8")
	}
	return nil, errors.New("not a private key")
}

// marshalKey returns the PEM form of a private key.
func marshalKey(private ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, errors.New("the key cannot be encoded")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// sameOrder reports whether two sets hold the same keys in the same order.
func sameOrder(a, b *KeySet) bool {
	return a != nil && b != nil && slices.EqualFunc(a.keys, b.keys, func(x, y *Key) bool { return x.identity == y.identity })
}
