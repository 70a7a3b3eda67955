// Tokens signed by jose, for tests.
//
//   node jose.mjs vectors > ../../router/credential/testdata/jose.json
//       prints fresh keys of every kind as a key set, as PEM and as secrets, and a token signed with each algorithm;
//       the private halves are thrown away
//   node jose.mjs sign --algorithm RS256 --key-dir DIR [--claim name=value]... [--ttl SECONDS]
//       prints a token, signed with the key DIR/<algorithm>.json, which is made when it is not there; DIR/jwks.json
//       then holds the public halves of all keys in DIR
//   JOSE_SECRET=SECRET node jose.mjs serve
//       is an issuer until it is killed; prints one line of JSON once it listens. It publishes one key for each algorithm
//       at GET /jwks, and signs claims: POST /sign?alg=RS256 (with the published key) or ?alg=HS256 (with the secret).
//       POST /rotate?alg=RS256 publishes another key and signs with that from then on, POST /revoke?kid=ID publishes a key
//       no longer, POST /sign?kid=ID signs with a key that is not the current one, and GET /stats counts fetches of /jwks

import { createServer } from "node:http";
import { once } from "node:events";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SignJWT, exportJWK, exportSPKI, generateKeyPair, importJWK } from "jose";

const asymmetric = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
const symmetric = { HS256: 32, HS384: 48, HS512: 64 };

async function vectors() {
  const issuedAt = 1767225600; // 2026-01-01, so that the tests hand in a fixed clock
  const claims = {
    tenant_id: "acme",
    environment_id: "production",
    roles: ["env_user", "env_maker"],
    amr: ["pwd", "otp", "mfa"],
    acr: "urn:example:acr:strong",
    auth_time: issuedAt - 60,
    "https://example.com/tenant": "acme-by-url",
    realm_access: { roles: ["nested"] },
  };
  const sign = (alg, kid, key) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg, kid, typ: "JWT" })
      .setIssuer("https://id.example.com")
      .setAudience(["app", "other"])
      .setSubject("user-1")
      .setIssuedAt(issuedAt)
      .setNotBefore(issuedAt)
      .setExpirationTime(issuedAt + 3600)
      .sign(key);
  const out = { package: "jose 6.2.17", issuedAt, jwks: { keys: [] }, tokens: [] };
  for (const alg of asymmetric) {
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    const kid = `key-${alg}`;
    out.jwks.keys.push({ ...(await exportJWK(publicKey)), kid, alg, use: "sig" });
    out.tokens.push({ alg, token: await sign(alg, kid, privateKey), pem: await exportSPKI(publicKey) });
  }
  for (const [alg, size] of Object.entries(symmetric)) {
    const secret = randomBytes(size);
    out.tokens.push({ alg, token: await sign(alg, undefined, secret), secret: secret.toString("base64") });
  }
  console.log(JSON.stringify(out, null, 1));
}

// key returns the private key for an algorithm, made when it is not there.
async function key(dir, alg) {
  await mkdir(dir, { recursive: true });
  const file = join(dir, `${alg}.json`);
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  const kid = `${alg}-${randomBytes(6).toString("hex")}`;
  const jwk = symmetric[alg]
    ? { kty: "oct", k: randomBytes(symmetric[alg]).toString("base64url"), kid, alg }
    : { ...(await exportJWK((await generateKeyPair(alg, { extractable: true })).privateKey)), kid, alg, use: "sig" };
  await writeFile(file, JSON.stringify(jwk), { mode: 0o600 });
  return jwk;
}

async function publish(dir) {
  const keys = [];
  for (const name of await readdir(dir)) {
    if (!name.endsWith(".json") || name === "jwks.json") continue;
    const { d, p, q, dp, dq, qi, ...rest } = JSON.parse(await readFile(join(dir, name), "utf8"));
    if (rest.kty !== "oct") keys.push(rest);
  }
  await writeFile(join(dir, "jwks.json"), JSON.stringify({ keys }));
}

async function sign({ algorithm, "key-dir": dir, claim = [], ttl }) {
  const jwk = await key(dir, algorithm);
  await publish(dir);
  const claims = Object.fromEntries(
    claim.map((text) => {
      const at = text.indexOf("=");
      const value = text.slice(at + 1);
      try {
        return [text.slice(0, at), JSON.parse(value)];
      } catch {
        return [text.slice(0, at), value];
      }
    }),
  );
  const now = Math.floor(Date.now() / 1000);
  const token = await new SignJWT({ iat: now, exp: now + Number(ttl), ...claims })
    .setProtectedHeader({ alg: algorithm, kid: jwk.kid, typ: "JWT" })
    .sign(await importJWK(jwk, algorithm));
  console.log(token);
}

// issuer answers as the comment at the top says.
async function issuer(secret) {
  const keys = []; // { kid, alg, privateKey, jwk }, the newest last
  const add = async (alg) => {
    const { publicKey, privateKey } = await generateKeyPair(alg);
    const kid = `${alg}-${randomBytes(6).toString("hex")}`;
    keys.push({ kid, alg, privateKey, published: true, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } });
    return kid;
  };
  for (const alg of asymmetric) await add(alg);
  const stats = { fetches: 0, fetchedAt: 0 };
  const read = async (request) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    return JSON.parse(text || "{}");
  };
  const answers = {
    "GET /stats": () => ({ ...stats, now: Date.now() }),
    "GET /jwks": () => {
      Object.assign(stats, { fetches: stats.fetches + 1, fetchedAt: Date.now() });
      return { keys: keys.filter((key) => key.published).map((key) => key.jwk) };
    },
    "POST /rotate": async (query) => ({ kid: await add(query.get("alg")) }),
    "POST /revoke": (query) => {
      keys.find((key) => key.kid === query.get("kid")).published = false;
      return {};
    },
    "POST /sign": async (query, claims) => {
      const key = keys.findLast((key) => key.kid === query.get("kid") || (!query.has("kid") && key.alg === query.get("alg")));
      const header = key ? { alg: key.alg, kid: key.kid } : { alg: query.get("alg") };
      const token = new SignJWT(claims).setProtectedHeader({ ...header, typ: "JWT" }).setIssuedAt().setExpirationTime("5m");
      return { token: await token.sign(key ? key.privateKey : new TextEncoder().encode(secret)), kid: key?.kid };
    },
  };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://issuer");
    try {
      const body = JSON.stringify(await answers[`${request.method} ${url.pathname}`](url.searchParams, await read(request)));
      response.writeHead(200, { "content-type": "application/json" }).end(body);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  console.log(JSON.stringify({ address: `http://127.0.0.1:${server.address().port}` }));
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    algorithm: { type: "string", default: "ES256" },
    "key-dir": { type: "string" },
    claim: { type: "string", multiple: true },
    ttl: { type: "string", default: "300" },
  },
});
if (positionals[0] === "vectors") await vectors();
else if (positionals[0] === "sign" && values["key-dir"]) await sign(values);
else if (positionals[0] === "serve" && process.env.JOSE_SECRET) await issuer(process.env.JOSE_SECRET);
else {
  console.error("usage: node jose.mjs vectors | serve | sign --key-dir DIR [--algorithm ALG] [--claim name=value]... [--ttl SECONDS]");
  process.exitCode = 2;
}
