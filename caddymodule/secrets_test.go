package caddymodule

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tenantgate/tenantgate/registry"
)

const (
	oneKey   = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"
	otherKey = "2f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"
)

// Promise: keys come from the configuration or from what it names; what is missing or wrong is said without any key.
func TestSecretsKeyring(t *testing.T) {
	t.Setenv("TENANTGATE_TEST_KEY", otherKey)
	t.Setenv("TENANTGATE_TEST_BAD", "hunter2")
	if ring, err := (*Secrets)(nil).keyring(); ring != nil || err != nil || (*Secrets)(nil).check() != nil {
		t.Errorf("without secrets: %v %v", ring, err)
	}
	s := &Secrets{Keys: []SecretKey{{"k2", "{env.TENANTGATE_TEST_KEY}"}, {"k1", oneKey}}}
	ring, err := s.keyring()
	if err != nil || s.check() != nil || strings.Join(ring.IDs(), " ") != "k2 k1" {
		t.Errorf("%v %v", ring, err)
	}
	for want, s := range map[string]*Secrets{
		"secrets: a key is needed":                                     {},
		"secrets: the key k1: a placeholder in it is unknown or empty": {Keys: []SecretKey{{"k1", "{env.TENANTGATE_TEST_NONE}"}}},
		"secrets: the key k1 must be base64 or hex":                    {Keys: []SecretKey{{"k1", "{env.TENANTGATE_TEST_BAD}"}}},
		"secrets: the key k1 is given twice":                           {Keys: []SecretKey{{"k1", oneKey}, {"k1", otherKey}}},
		"secrets: the id of a key must be":                             {Keys: []SecretKey{{oneKey, "k1"}}},
		"secrets: the key k1 has 33 bytes":                             {Keys: []SecretKey{{"k1", oneKey + "00"}}},
	} {
		_, err := s.keyring()
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), oneKey[:8]) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if shown := fmt.Sprintf(verb, s) + fmt.Sprintf(verb, *s) + fmt.Sprintf(verb, s.Keys); strings.Contains(shown, oneKey[:8]) {
			t.Errorf("%s shows a key: %s", verb, shown)
		}
	}
}

// Promise: commands that work straight on a registry have their keys from the environment, and none without it.
func TestEnvironmentKeyring(t *testing.T) {
	t.Setenv(secretKeysVariable, "")
	if ring, err := environmentKeyring(); ring != nil || err != nil {
		t.Errorf("%v %v", ring, err)
	}
	t.Setenv(secretKeysVariable, "k2="+otherKey+",k1="+oneKey)
	if ring, err := environmentKeyring(); err != nil || strings.Join(ring.IDs(), " ") != "k2 k1" {
		t.Errorf("%v %v", ring, err)
	}
	for _, bad := range []string{oneKey, "k1=" + oneKey + "0", "k1=" + oneKey + ",k1=" + otherKey} {
		t.Setenv(secretKeysVariable, bad)
		if _, err := environmentKeyring(); err == nil || !strings.HasPrefix(err.Error(), "TENANT_SECRET_KEYS: ") || strings.Contains(err.Error(), oneKey[:8]) {
			t.Errorf("%v", err)
		}
	}
}

// Promise: a secret is read as it stands but for one newline at its end, however it arrives, and no more of it than a
// secret can have.
func TestReadSecret(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("s", registry.MaxSecret)
	for text, want := range map[string]string{
		"word": "word", "word\n": "word", "word\r\n": "word", "word\n\n": "word\n", "a\nb\n": "a\nb", " word ": " word ", "word\r": "word\r",
		longest: longest, longest + "\n": longest, longest + "\r\n": longest,
	} {
		if got, err := readSecret(iotest.OneByteReader(strings.NewReader(text)), "it"); err != nil || got != want {
			t.Errorf("%.20q: %.20q %v", text, got, err)
		}
	}
	endless := &countingReader{}
	for what, err := range map[string]error{
		"is empty":          errOf(readSecret(strings.NewReader(""), "it")),
		"it is empty":       errOf(readSecret(strings.NewReader("\n"), "it")),
		"more than 8192":    errOf(readSecret(strings.NewReader(longest+"s"), "it")),
		"more than 8192 by": errOf(readSecret(strings.NewReader(longest+"s\n"), "it")),
		"8192 bytes":        errOf(readSecret(endless, "it")),
	} {
		var own *commandError
		if !errors.As(err, &own) || own.exit != exitInvalid || !strings.Contains(err.Error(), what) || strings.Contains(err.Error(), "ssss") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if endless.n > 2*registry.MaxSecret {
		t.Errorf("%d bytes were read", endless.n)
	}
	if _, err := readSecret(iotest.ErrReader(errors.New("gone")), "it"); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("%v", err)
	}
}

func errOf(_ string, err error) error { return err }

// countingReader never ends.
type countingReader struct{ n int }

func (r *countingReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 's'
	}
	r.n += len(b)
	return len(b), nil
}
