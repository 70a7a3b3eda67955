package registry

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// testKey is a key of 32 bytes of which each is another one.
func testKey(t testing.TB, id string, seed byte) SecretKey {
	t.Helper()
	return must(NewSecretKey(id, keyText(seed)))(t)
}

func keyText(seed byte) string {
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = seed + byte(i)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func testKeyring(t testing.TB, keys ...SecretKey) *Keyring {
	t.Helper()
	return must(NewKeyring(keys...))(t)
}

// Promise: a key is 32 random bytes in hex or in any form of base64; whatever else it is, it is refused without being shown.
func TestNewSecretKey(t *testing.T) {
	t.Parallel()
	raw := must(base64.StdEncoding.DecodeString(keyText(200)))(t) // its base64 has "+" and "/"
	for name, text := range map[string]string{
		"base64": base64.StdEncoding.EncodeToString(raw), "no padding": base64.RawStdEncoding.EncodeToString(raw),
		"url": base64.URLEncoding.EncodeToString(raw), "raw url": base64.RawURLEncoding.EncodeToString(raw),
		"hex": hex.EncodeToString(raw), "upper hex": strings.ToUpper(hex.EncodeToString(raw)), "space": " \t" + hex.EncodeToString(raw) + "\n",
	} {
		if k, err := NewSecretKey("k1", text); err != nil || !bytes.Equal(k.key[:], raw) || k.ID() != "k1" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, test := range map[string]struct{ id, text, want string }{
		"no id":          {"", keyText(1), "the id of a key must be"},
		"upper id":       {"K1", keyText(1), "the id of a key must be"},
		"id with space":  {"k 1", keyText(1), "the id of a key must be"},
		"id with equals": {"k=1", keyText(1), "the id of a key must be"},
		"long id":        {strings.Repeat("k", 64), keyText(1), "the id of a key must be"},
		"swapped":        {keyText(1), "k1", "the id of a key must be"},
		"no key":         {"k1", "", "must be base64 or hex of 32"},
		"no text":        {"k1", "correct horse battery staple", "must be base64 or hex of 32"},
		"16 bytes":       {"k1", hex.EncodeToString(raw[:16]), "has 16 bytes"},
		"33 bytes":       {"k1", base64.StdEncoding.EncodeToString(append(raw[:32:32], 1)), "has 33 bytes"},
		"64 bytes":       {"k1", hex.EncodeToString(append(raw[:32:32], raw...)), "has 64 bytes"},
		"zeros":          {"k1", strings.Repeat("00", 32), "one byte again and again"},
		"letters":        {"k1", strings.Repeat("61", 32), "one byte again and again"},
		"two lines":      {"k1", keyText(1)[:20] + "\n" + keyText(1)[20:], "must be base64 or hex of 32"},
		"padding":        {"k1", keyText(1) + "=", "must be base64 or hex of 32"},
		"loose bits":     {"k1", keyText(1)[:42] + "9=", "must be base64 or hex of 32"},
		"placeholder":    {"k1", "{env.TENANT_SECRET_KEY}", "must be base64 or hex of 32"},
		"endless":        {"k1", strings.Repeat("ab", 1<<20), "must be base64 or hex of 32"},
	} {
		_, err := NewSecretKey(test.id, test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
			continue
		}
		if len(test.text) > 8 && strings.Contains(err.Error(), test.text[:8]) || strings.Contains(err.Error(), keyText(1)[:8]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

// Promise: a list of keys is ID=KEY,ID=KEY, also where the key ends in "="; the place of a mistake is named, and never a key.
func TestParseSecretKeys(t *testing.T) {
	t.Parallel()
	list := must(ParseSecretKeys(" new=" + keyText(1) + " , old=" + keyText(2)))(t)
	if len(list) != 2 || list[0] != testKey(t, "new", 1) || list[1] != testKey(t, "old", 2) {
		t.Errorf("got %v", list)
	}
	if list, err := ParseSecretKeys(" "); err != nil || list != nil {
		t.Errorf("of nothing: %v %v", list, err)
	}
	for text, want := range map[string]string{
		keyText(3):                 "element 1 of the list of keys: the id of a key must be", // its "=" is taken for the one after an id
		keyText(1)[:43]:            "element 1 of the list of keys must be ID=KEY",
		"a=" + keyText(1) + ",":    "element 2 of the list of keys must be ID=KEY",
		"a=" + keyText(1) + ",b":   "element 2 of the list of keys must be ID=KEY",
		"a=x":                      "element 1 of the list of keys: the key a must be",
		"A=" + keyText(1):          "element 1 of the list of keys: the id of a key must be",
		strings.Repeat("a", 1<<20): "too long",
	} {
		if _, err := ParseSecretKeys(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), keyText(1)[:8]) || strings.Contains(err.Error(), keyText(3)[:8]) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

// Promise: the parser of keys takes any bytes, and what it takes is 32 bytes that are the same however they are written.
func FuzzParseSecretKeys(f *testing.F) {
	for _, seed := range []string{"", "k=" + keyText(1), "a=" + keyText(1) + ",b=" + keyText(2), "k=" + strings.Repeat("0f", 32), ",", "=", "k==", "k=,k="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseSecretKeys(text)
		if err != nil {
			if list != nil {
				t.Error("an error with keys")
			}
			return
		}
		for _, k := range list {
			for _, form := range []string{hex.EncodeToString(k.key[:]), base64.RawURLEncoding.EncodeToString(k.key[:])} {
				if again, err := ParseSecretKeys(k.id + "=" + form); err != nil || again[0] != k {
					t.Errorf("%q: written again it is another key: %v", form, err)
				}
			}
		}
	})
}

// Promise: a keyring has each id once, and 1 to 64 keys.
func TestNewKeyringRefuses(t *testing.T) {
	t.Parallel()
	var many []SecretKey
	for i := range 65 {
		many = append(many, testKey(t, fmt.Sprintf("k%d", i), byte(i)))
	}
	for want, keys := range map[string][]SecretKey{
		"needs a key":                   {},
		"the key k1 is given twice":     {testKey(t, "k1", 1), testKey(t, "k2", 2), testKey(t, "k1", 3)},
		"must not be more than 64 keys": many,
		"keys of NewSecretKey":          {{}},
	} {
		if _, err := NewKeyring(keys...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	testKeyring(t, many[:64]...)
}

// Promise: what one key of a ring has sealed opens with that key for that credential, and with nothing else for nothing
// else: another key, id, environment or scope, a bit changed anywhere, a part cut off.
func TestSeal(t *testing.T) {
	t.Parallel()
	ring := testKeyring(t, testKey(t, "new", 1), testKey(t, "old", 2))
	first, old := must(ring.first())(t), ring.find("old")
	bound := binding{idInitech, idAcmeProd, "readonly"}
	for _, secret := range []string{"x", "correct horse", strings.Repeat("s", MaxSecret), "-----BEGIN\nKEY-----\n", "pässwörd"} {
		sealed := first.seal(bound, secret)
		if got, ok := first.open(bound, sealed); !ok || got != secret {
			t.Fatalf("it does not open: %v %q", ok, got)
		}
		if bytes.Contains(sealed, []byte(secret)) && len(secret) > 1 {
			t.Error("the secret is not sealed")
		}
		if bytes.Equal(sealed, first.seal(bound, secret)) {
			t.Error("sealed twice it is the same: the nonce is not new")
		}
		if _, ok := old.open(bound, sealed); ok {
			t.Error("another key opens it")
		}
	}
	sealed := first.seal(bound, "secret")
	for name, other := range map[string]binding{
		"credential": {idGlobex, idAcmeProd, "readonly"}, "environment": {idInitech, idAcmeDev, "readonly"}, "scope": {idInitech, idAcmeProd, "admin"},
		"shifted": {idInitech + idAcmeProd, "", "readonly"},
	} {
		if _, ok := first.open(other, sealed); ok {
			t.Errorf("it opens for another %s", name)
		}
	}
	for i := range sealed {
		for _, bit := range []byte{1, 128} {
			changed := bytes.Clone(sealed)
			changed[i] ^= bit
			if _, ok := first.open(bound, changed); ok {
				t.Errorf("it opens with byte %d changed", i)
			}
		}
		if _, ok := first.open(bound, sealed[:i]); ok {
			t.Errorf("its first %d bytes open", i)
		}
	}
}

// Promise: neither a key nor a keyring shows key material in any form in which Go prints values.
func TestKeysAreNotShown(t *testing.T) {
	t.Parallel()
	k := testKey(t, "k1", 65) // "ABC…" as bytes
	ring := testKeyring(t, k)
	var out bytes.Buffer
	for _, v := range []any{k, &k, []SecretKey{k}, ring, *ring, Options{Keys: ring}, map[string]*Keyring{"r": ring}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		text, err := json.Marshal(v)
		if err != nil && !strings.Contains(err.Error(), "unsupported type") {
			t.Error(err)
		}
		out.Write(text)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
	}
	shown := out.String()
	if !strings.Contains(shown, "k1") {
		t.Error("the id is not shown")
	}
	for _, part := range []string{"ABCDEFGH", keyText(65)[:10], "41424344", "65 66 67", "65,66,67", "0x41, 0x42"} {
		if strings.Contains(shown, part) {
			t.Errorf("the key is shown: %s", part)
		}
	}
	if got := (*Keyring)(nil).IDs(); got != nil {
		t.Errorf("no ring has %v", got)
	}
}

// Promise: two stores count as one and the same only with the same keys in the same order.
func TestIdentityHasKeys(t *testing.T) {
	t.Parallel()
	a, b := testKey(t, "a", 1), testKey(t, "b", 2)
	seen := map[string]string{}
	for name, ring := range map[string]*Keyring{
		"none": nil, "a": testKeyring(t, a), "ab": testKeyring(t, a, b), "ba": testKeyring(t, b, a), "other a": testKeyring(t, testKey(t, "a", 3)),
		"renamed": testKeyring(t, testKey(t, "c", 1)),
	} {
		id := opened(t, Options{URL: "file:x.db", Keys: ring}).Identity()
		if other, dup := seen[id]; dup {
			t.Errorf("%s and %s have the same identity", name, other)
		}
		seen[id] = name
	}
	if opened(t, Options{URL: "file:x.db", Keys: testKeyring(t, a)}).Identity() != opened(t, Options{URL: "file:x.db", Keys: testKeyring(t, testKey(t, "a", 1))}).Identity() {
		t.Error("the same keys give another identity")
	}
}
