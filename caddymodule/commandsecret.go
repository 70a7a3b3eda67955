package caddymodule

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/tenantgate/tenantgate/registry"
)

// secretKeysVariable is the environment variable that has the keys for commands that work straight on a registry.
const secretKeysVariable = "TENANT_SECRET_KEYS"

// environmentKeyring returns the keys that the environment gives; nil where it gives none. No error of it shows a key.
func environmentKeyring() (*registry.Keyring, error) {
	keys, err := registry.ParseSecretKeys(os.Getenv(secretKeysVariable))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", secretKeysVariable, err)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	ring, err := registry.NewKeyring(keys...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", secretKeysVariable, err)
	}
	return ring, nil
}

// secretFlags adds the flags for a secret that is stored.
func secretFlags(fs *pflag.FlagSet) {
	fs.String("secret-file", "", "file that holds the secret (default: standard input)")
	fs.String("expires", "", "when the database ceases to take it, such as 2027-01-31 or 720h (default: never)")
}

// secret reads the secret from the file or from standard input, without the newline at its end.
func (s *session) secret(ctx context.Context) (string, error) {
	path := s.text("secret-file")
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }() // only read
		return readSecret(f, "--secret-file")
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		return "", usage("give the secret on standard input, such as <token.txt, or with --secret-file: what is typed here could be read by others")
	}
	type answer struct {
		secret string
		err    error
	}
	read := make(chan answer, 1)
	go func() { // whoever sends it may never come to an end
		secret, err := readSecret(os.Stdin, "standard input")
		read <- answer{secret, err}
	}()
	select {
	case a := <-read:
		return a.secret, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// readSecret reads a secret of at most [registry.MaxSecret] bytes and one newline.
func readSecret(r io.Reader, where string) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, registry.MaxSecret+3))
	if err != nil {
		return "", fmt.Errorf("reading the secret: %w", err)
	}
	secret, ended := strings.CutSuffix(string(text), "\n")
	if ended {
		secret = strings.TrimSuffix(secret, "\r")
	}
	switch {
	case secret == "":
		return "", badSecret("%s is empty: it must be the secret", where)
	case len(secret) > registry.MaxSecret:
		return "", badSecret("%s has more than %d bytes: that is no secret", where, registry.MaxSecret)
	}
	return secret, nil
}

// badSecret is what is wrong with a secret before anybody is asked. It never repeats it.
func badSecret(format string, args ...any) error {
	return &commandError{exit: exitInvalid, code: registry.CodeInvalid, field: "secret", text: fmt.Sprintf(format, args...)}
}
