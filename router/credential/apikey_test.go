package credential

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/tenantgate/tenantgate/registry"
)

// Promise: a generated key has the documented form, is accepted by ParseKey, and no two are alike; its characters are
// all equally likely.
func TestGenerateKey(t *testing.T) {
	seen := make(map[string]bool)
	counts := make(map[byte]int)
	const n = 2000
	for range n {
		key, err := GenerateKey("dev", nil)
		if err != nil {
			t.Fatal(err)
		}
		if environment, err := ParseKey(key); err != nil || environment != "dev" {
			t.Fatalf("%q: %v", environment, err)
		}
		if len(key) != len("tg_dev_")+40 || !strings.HasPrefix(key, "tg_dev_") || seen[key] {
			t.Fatalf("not a new key of the form: %s", key)
		}
		seen[key] = true
		for _, c := range []byte(key[len("tg_dev_"):][:keyRandom]) {
			counts[c]++
		}
	}
	// Chi-square with 61 degrees of freedom: 150 is exceeded by chance once in 10^9 runs.
	want, chi := float64(n*keyRandom)/62, 0.0
	for _, c := range []byte(base62) {
		chi += math.Pow(float64(counts[c])-want, 2) / want
	}
	if chi > 150 || len(counts) != 62 {
		t.Errorf("chi-square %f over %d characters", chi, len(counts))
	}
	if bits := float64(keyRandom) * math.Log2(62); bits < 192 {
		t.Errorf("%f bits", bits)
	}
}

// Promise: a key depends on nothing but the environment and the randomness, the checksum is CRC-32 in base62, and
// without randomness there is no key.
func TestGenerateKeyFrom(t *testing.T) {
	// 255 and 248 would make some characters more likely, and are left out.
	random := bytes.Repeat([]byte{255, 248, 0, 61, 62, 247}, 64)
	got, err := GenerateKey("production", bytes.NewReader(random))
	if err != nil {
		t.Fatal(err)
	}
	body := "tg_production_" + strings.Repeat("0z0z", 9)[:keyRandom]
	sum, digits := crc32.ChecksumIEEE([]byte(body)), ""
	for range keyChecksum {
		digits = string(base62[sum%62]) + digits
		sum /= 62
	}
	if got != body+digits {
		t.Errorf("got %s, want %s", got, body+digits)
	}
	if LastFour(got) != digits[2:] || LastFour("abc") != "abc" {
		t.Errorf("last four %s", LastFour(got))
	}
	if _, err := GenerateKey("production", io.LimitReader(bytes.NewReader(random), 50)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	for _, slug := range []string{"", "Dev", "a_b", "a--b", strings.Repeat("a", 64)} {
		if _, err := GenerateKey(slug, nil); err == nil {
			t.Errorf("%q passed", slug)
		}
	}
	long, err := GenerateKey(strings.Repeat("a", registry.MaxSlugLength), nil)
	if err != nil || len(long) != MaxKey {
		t.Errorf("%d bytes, %v", len(long), err)
	}
	if _, err := ParseKey(long); err != nil {
		t.Error(err)
	}
}

func withChecksum(body string) string {
	digits := checksum(body)
	return body + string(digits[:])
}

// Promise: what is not of the form is refused without asking anybody, and the refusal does not show it.
func TestParseKey(t *testing.T) {
	good, err := GenerateKey("dev", nil)
	if err != nil {
		t.Fatal(err)
	}
	other := byte('A')
	if good[20] == other {
		other = 'B'
	}
	for _, row := range []struct {
		name, key string
		want      Reason
	}{
		{"good", good, ""},
		{"empty", "", ReasonMalformed},
		{"a token", "a.b.c", ReasonMalformed},
		{"no prefix", good[3:], ReasonMalformed},
		{"prefix in upper case", "TG" + good[2:], ReasonMalformed},
		{"no environment", withChecksum("tg__" + strings.Repeat("a", keyRandom)), ReasonMalformed},
		{"not a slug", withChecksum("tg_De_" + strings.Repeat("a", keyRandom)), ReasonMalformed},
		{"too short", withChecksum("tg_dev_" + strings.Repeat("a", keyRandom-1)), ReasonMalformed},
		{"too long a random part", withChecksum("tg_dev_" + strings.Repeat("a", keyRandom+1)), ReasonMalformed},
		{"another character", withChecksum("tg_dev_" + strings.Repeat("a", keyRandom-1) + "-"), ReasonMalformed},
		{"an underscore", withChecksum("tg_dev_" + strings.Repeat("a", keyRandom-1) + "_"), ReasonMalformed},
		{"mistyped", good[:20] + string(other) + good[21:], ReasonMalformed},
		{"another environment", "tg_prod_" + good[len("tg_dev_"):], ReasonMalformed},
		{"cut", good[:len(good)-1], ReasonMalformed},
		{"with a line break", good + "\n", ReasonMalformed},
		{"too large", good + strings.Repeat("a", MaxKey), ReasonTooLarge},
	} {
		_, err := ParseKey(row.key)
		if ReasonOf(err) != row.want {
			t.Errorf("%s: %v", row.name, err)
		}
		if err != nil && strings.Contains(err.Error(), good[10:20]) {
			t.Errorf("%s: the error shows the key: %v", row.name, err)
		}
	}
}

// Promise: a key and a session token are looked up by lower-case hex SHA-256, compared in full.
func TestLookupKey(t *testing.T) {
	for _, secret := range []string{"", "abc", strings.Repeat("x", 1000)} {
		sum := sha256.Sum256([]byte(secret))
		want := hex.EncodeToString(sum[:])
		if got := LookupKey(secret); got != want || !EqualLookupKeys(got, want) {
			t.Errorf("got %s", got)
		}
	}
	a := LookupKey("a")
	for _, b := range []string{"", a[:63], a + "0", LookupKey("b"), strings.ToUpper(a)} {
		if EqualLookupKeys(a, b) || EqualLookupKeys(b, a) {
			t.Errorf("%q equals %q", a, b)
		}
	}
	if EqualLookupKeys("", "") {
		t.Error("nothing equals nothing")
	}
}

// Promise: a key is found in its header and behind Bearer, a token is not taken for one, two keys are refused, and
// what is removed is the key only.
func TestExtractKey(t *testing.T) {
	const key, token = "tg_dev_x", "a.b.c"
	for _, row := range []struct {
		header string
		lines  []string
		want   string
		reason Reason
		left   string
	}{
		{"", nil, "", "", ""},
		{"", []string{"X-API-Key: " + key}, key, "", ""},
		{"", []string{"Authorization: Bearer " + key}, key, "", ""},
		{"", []string{"Authorization: bearer " + key, "X-API-Key: " + key}, key, "", ""},
		{"", []string{"Authorization: Bearer " + token}, "", "", "Bearer " + token},
		{"", []string{"Authorization: Bearer " + token, "X-API-Key: " + key}, key, "", "Bearer " + token},
		{"", []string{"Authorization: Basic x"}, "", "", "Basic x"},
		{"", []string{"Authorization: Bearer"}, "", "", "Bearer"},
		{"", []string{"Authorization: Bearer tg_a", "X-API-Key: tg_b"}, "", ReasonConflict, ""},
		{"", []string{"X-API-Key: a", "X-API-Key: b"}, "", ReasonMalformed, ""},
		{"", []string{"X-API-Key: a b"}, "a b", "", ""},
		{"", []string{"X-API-Key: "}, "", ReasonMalformed, ""},
		{"", []string{"Authorization: Bearer tg_a,b"}, "tg_a,b", "", ""},
		{"X-Key", []string{"X-Key: " + key, "X-API-Key: other"}, key, "", ""},
	} {
		x, err := NewKeyExtractor(row.header)
		if err != nil {
			t.Fatal(err)
		}
		r := request("/", row.lines...)
		got, err := x.Extract(r)
		if got != row.want || ReasonOf(err) != row.reason {
			t.Errorf("%q: got %q, %v", row.lines, got, err)
		}
		x.Remove(r)
		if got, err := x.Extract(r); got != "" || err != nil || r.Header.Get("Authorization") != row.left {
			t.Errorf("%q: left %q, %v, %v", row.lines, got, err, r.Header)
		}
	}
	for _, bad := range []string{"Authorization", "authorization", "a b", "a:"} {
		if _, err := NewKeyExtractor(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func ExampleGenerateKey() {
	key, err := GenerateKey("production", nil)
	if err != nil {
		panic(err)
	}
	environment, err := ParseKey(key)
	fmt.Println(environment, len(key), len(LookupKey(key)), err)
	// Output: production 54 64 <nil>
}
