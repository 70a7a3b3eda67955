package credential

import (
	"encoding/base64"
	"testing"
	"time"
)

// The published examples of the RFCs.
const (
	rfcClaims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	// RFC 7515 A.1, which is RFC 7519 §3.1 as well.
	rfcHS256       = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + rfcClaims + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfcHS256Secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
	// RFC 7515 A.2.
	rfcRS256 = "eyJhbGciOiJSUzI1NiJ9." + rfcClaims +
		".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4" +
		"BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv" +
		"hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
	rfcRS256Key = `{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Ql` +
		`L-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6` +
		`65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}`
	// RFC 7515 A.3.
	rfcES256    = "eyJhbGciOiJFUzI1NiJ9." + rfcClaims + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	rfcES256Key = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	// RFC 7515 A.4: the payload is not JSON.
	rfcES512 = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZq" +
		"wqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
	rfcES512Key = `{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",` +
		`"y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}`
	// RFC 7515 A.5, which is RFC 7519 §6.1 as well.
	rfcNone = "eyJhbGciOiJub25lIn0." + rfcClaims + "."
	// RFC 8037 A.4: the payload is not JSON.
	rfcEdDSA    = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	rfcEdDSAKey = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	// RFC 7515 A.7: the flattened JSON serialization, which is no JWT (RFC 7519 §1).
	rfcFlattened = `{"payload":"` + rfcClaims + `","protected":"eyJhbGciOiJFUzI1NiJ9","header":{"kid":"e9bc097a-ce51-4036-9562-d2ade882db0d"},` +
		`"signature":"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"}`
	// RFC 7515 A.6: the general JSON serialization, with the signatures of A.2 and A.3.
	rfcGeneral = `{"payload":"` + rfcClaims + `","signatures":[{"protected":"eyJhbGciOiJSUzI1NiJ9","header":{"kid":"2010-12-29"},` +
		`"signature":"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4` +
		`BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv` +
		`hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"},` +
		`{"protected":"eyJhbGciOiJFUzI1NiJ9","header":{"kid":"e9bc097a-ce51-4036-9562-d2ade882db0d"},` +
		`"signature":"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"}]}`
	// RFC 7519 A.1: an encrypted token (JWE), which proves nothing about who made it.
	rfcEncrypted = "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.QR1Owv2ug2WyPBnbQrRARTeEk9kDO2w8qDcjiHnSJflSdv1iNqhWXaKH4MqAkQtMoNfABIPJ" +
		"aZm0HaA415sv3aeuBWnD8J-Ui7Ah6cWafs3ZwwFKDFUUsWHSK-IPKxLGTkND09XyjORj_CHAgOPJ-Sd8ONQRnJvWn_hXV1BNMHzUjPyYwEsRhDhzjAD26imasOTsgruobpYG" +
		"oQcXUwFDn7moXPRfDE8-NoQX7N7ZYMmpUDkR-Cx9obNGwJQ3nM52YCitxoQVPzjbl7WBuB7AohdBoZOdZ24WlN1lVIeh8v1K4krB8xgKvRU8kgFrEn_a1rZgN5TiysnmzTRO" +
		"F869lQ.AxY8DCtDaGlsbGljb3RoZQ.MKOle7UQrG6nSxTLX6Mqwt0orbHvAKeWnDYvpIAeZ72deHxz3roJDXQyhxx0wKaMHDjUEOKIwrtkHthpqEanSBNYHZgmNOV7sln1Eu9" +
		"g3J8.fiK51VwhsxJ-siBMR-YFiA"
)

// rfcKeys returns the set of one published key.
func rfcKeys(t *testing.T, text string) *KeySet {
	t.Helper()
	if text[0] == '{' {
		set, err := ParseKeys([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	secret, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	set, err := SecretKeys(secret)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Promise: the examples of RFC 7515 appendix A, RFC 7519 and RFC 8037 appendix A are read as published.
func TestPublishedTokens(t *testing.T) {
	expires := time.Unix(1300819380, 0)
	for _, c := range []struct{ name, token, key string }{
		{"RFC 7515 A.1, RFC 7519 §3.1", rfcHS256, rfcHS256Secret},
		{"RFC 7515 A.2", rfcRS256, rfcRS256Key},
		{"RFC 7515 A.3", rfcES256, rfcES256Key},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVerifier(t, VerifierOptions{
				Keys: rfcKeys(t, c.key), Issuers: []string{"joe"}, Leeway: -1,
				Claims: ClaimNames{Extra: []string{"http://example.com/is_root"}},
			})
			id, err := v.Verify(t.Context(), c.token, expires.Add(-time.Second))
			if err != nil {
				t.Fatal(err)
			}
			if id.Issuer != "joe" || !id.ExpiresAt.Equal(expires) || id.Extra["http://example.com/is_root"][0] != "true" {
				t.Errorf("got %+v", id)
			}
			_, err = v.Verify(t.Context(), c.token, expires)
			wantReason(t, err, ReasonExpired)
		})
	}
}

// Promise: where a published example is no JWT, its signature is found good all the same, and it is refused for what
// it is.
func TestPublishedSignatures(t *testing.T) {
	for _, c := range []struct {
		name, token, key string
		want             Reason
	}{
		{"RFC 7515 A.4", rfcES512, rfcES512Key, ReasonMalformed},
		{"RFC 8037 A.4", rfcEdDSA, rfcEdDSAKey, ReasonMalformed},
		{"RFC 7515 A.5, RFC 7519 §6.1", rfcNone, rfcES256Key, ReasonAlgorithm},
		{"RFC 7515 A.5 with a secret", rfcNone, rfcHS256Secret, ReasonAlgorithm},
		{"RFC 7515 A.6", rfcGeneral, rfcES256Key, ReasonMalformed},
		{"RFC 7515 A.7", rfcFlattened, rfcES256Key, ReasonMalformed},
		{"RFC 7519 A.1", rfcEncrypted, rfcRS256Key, ReasonMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := rfcKeys(t, c.key)
			_, err := verify(newVerifier(t, VerifierOptions{Keys: set}), c.token)
			wantReason(t, err, c.want)
			_, _, signed, signature, err := split(c.token)
			if err != nil || signature == "" || c.want == ReasonAlgorithm {
				return
			}
			header, _, _, _, _ := split(c.token)
			h, err := parseHeader(header, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			sig, err := encoding.DecodeString(signature)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := set.verify("", h.algorithm, signed, sig); err != nil {
				t.Errorf("the published signature: %v", err)
			}
			sig[3] ^= 1
			_, _, err = set.verify("", h.algorithm, signed, sig)
			wantReason(t, err, ReasonSignature)
		})
	}
}
