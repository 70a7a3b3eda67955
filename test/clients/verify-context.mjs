// An upstream that believes nothing but the signed context: jose checks X-Tenant-Context of every request.
//
//   node verify-context.mjs --jwks http://127.0.0.1:8081/ [--audience app] [--issuer tenantgate]
//   CONTEXT_SECRET=... node verify-context.mjs --secret [--audience app] [--issuer tenantgate]
//
// answers with the verified claims as JSON, or 401 and why not. It prints one line of JSON once it listens: "address" is
// the upstream's; GET "control" has the key set fetched again at once, as its age would some minutes later, and answers
// with the ids of the keys.

import { createServer } from "node:http";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { createRemoteJWKSet, jwtVerify } from "jose";

const { values } = parseArgs({
  options: {
    jwks: { type: "string" },
    secret: { type: "boolean" },
    audience: { type: "string" },
    issuer: { type: "string", default: "tenantgate" },
  },
});

const keys = values.secret
  ? new TextEncoder().encode(process.env.CONTEXT_SECRET)
  : createRemoteJWKSet(new URL(values.jwks));

async function verify(request) {
  const names = request.rawHeaders.filter((_, i) => i % 2 === 0).filter((name) => /^x.tenant.context$/i.test(name));
  if (names.length !== 1) throw new Error(`${names.length} tokens`);
  const { payload, protectedHeader } = await jwtVerify(request.headers["x-tenant-context"], keys, {
    algorithms: [values.secret ? "HS256" : "EdDSA"],
    typ: "tenant-context+jwt",
    issuer: values.issuer,
    audience: values.audience,
    requiredClaims: ["exp", "tenant", "environment"],
  });
  return { kid: protectedHeader.kid, claims: payload };
}

async function listen(handler) {
  const server = createServer((request, response) => {
    const answer = (status, body) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    handler(request).then((body) => answer(200, body), (error) => answer(401, { code: error.code, error: error.message }));
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `127.0.0.1:${server.address().port}`;
}

const address = await listen(verify);
const control = await listen(async () => {
  await keys.reload();
  return keys.jwks().keys.map((key) => key.kid);
});
console.log(JSON.stringify({ address, control }));
