// A real better-auth server, for tests.
//
//   node better-auth.mjs vectors > ../../router/credential/testdata/better-auth.json
//       signs users up over HTTP and prints the cookies and tokens that they were given
//   node better-auth.mjs serve --port 3001 --database file:auth.db --secret SECRET [--secret OLD] [--url https://app.example.com] [--tenants]
//       serves better-auth until it is killed; prints one line of JSON once it listens. With --tenants the database is
//       also the gateway's registry: organizations become tenants there, and their members those of the tenants
//
// The database is in memory, or with --database a libSQL file or server: its driver comes as a prebuilt package and
// needs no install script, unlike better-sqlite3.

import { createServer } from "node:http";
import { once } from "node:events";
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { createClient } from "@libsql/client";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { jwt, organization } from "better-auth/plugins";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: "string", default: "0" },
    database: { type: "string" },
    secret: { type: "string", multiple: true },
    url: { type: "string" },
    prefix: { type: "string" },
    tenants: { type: "boolean" },
  },
});

async function database(url) {
  if (!url) {
    const tables = ["user", "session", "account", "verification", "organization", "member", "invitation", "jwks"];
    return memoryAdapter(Object.fromEntries(tables.map((name) => [name, []])));
  }
  const { LibsqlDialect } = await import("@libsql/kysely-libsql");
  return { dialect: new LibsqlDialect({ url, authToken: process.env.DATABASE_TOKEN }), type: "sqlite" };
}

const roles = { owner: "env_admin", admin: "env_maker", member: "env_user" };

// tenants returns the hooks that keep the gateway's registry, which is the same database, in step with organizations.
function tenants(url) {
  const db = createClient({ url, authToken: process.env.DATABASE_TOKEN });
  const join = ({ member, organization }) =>
    db.execute({
      sql: `INSERT INTO sys_environment_member (environment_id, user_id, role)
            SELECT id, ?, ? FROM sys_environment WHERE organization_id = ?
            ON CONFLICT DO UPDATE SET role = excluded.role`,
      args: [member.userId, roles[member.role], organization.id],
    });
  return {
    async afterCreateOrganization({ organization, member }) {
      await db.batch([
        { sql: "INSERT INTO sys_organization (id, slug, name, plan) VALUES (?, ?, ?, 'free')", args: [organization.id, organization.slug, organization.name] },
        { sql: "INSERT INTO sys_environment (id, organization_id, slug, name) VALUES (?, ?, 'production', 'Production')", args: [randomUUID(), organization.id] },
      ], "write");
      await join({ member, organization });
    },
    afterAddMember: join,
    afterAcceptInvitation: join,
    afterUpdateMemberRole: join,
    async afterRemoveMember({ member, organization }) {
      await db.execute({
        sql: "DELETE FROM sys_environment_member WHERE user_id = ? AND environment_id IN (SELECT id FROM sys_environment WHERE organization_id = ?)",
        args: [member.userId, organization.id],
      });
    },
  };
}

// serve starts better-auth. baseURL decides, as in production, whether cookies are "__Secure-" ones.
async function serve({ port = 0, databaseURL, secrets, url, prefix, withTenants }) {
  const server = createServer();
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = `http://127.0.0.1:${server.address().port}`;
  const baseURL = url ?? address;
  const options = {
    baseURL,
    database: await database(databaseURL),
    secrets: secrets.map((value, i) => ({ version: secrets.length - i, value })),
    emailAndPassword: { enabled: true },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    trustedOrigins: [baseURL, address],
    // Ids of organizations are those of tenants, which are UUIDs.
    advanced: { database: { generateId: "uuid" }, ...(prefix ? { cookiePrefix: prefix } : {}) },
    session: { additionalFields: { activeEnvironmentId: { type: "string", required: false } } },
    plugins: [
      organization({ organizationHooks: withTenants ? tenants(databaseURL) : {} }),
      jwt({ jwt: { definePayload: ({ user, session }) => ({ email: user.email, organizationId: session.activeOrganizationId }) } }),
    ],
  };
  const auth = betterAuth(options);
  if (databaseURL) await (await getMigrations(options)).runMigrations();
  server.on("request", toNodeHandler(auth));
  return { server, address, baseURL };
}

// Client keeps cookies as a browser does, but sends "__Secure-" ones over http, too.
class Client {
  constructor({ address, baseURL }) {
    Object.assign(this, { address, baseURL, cookies: new Map() });
  }
  async call(path, body) {
    const response = await fetch(`${this.address}/api/auth${path}`, {
      method: body ? "POST" : "GET",
      headers: { "content-type": "application/json", origin: this.baseURL, cookie: [...this.cookies].map((c) => c.join("=")).join("; ") },
      body: body && JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(name, value);
    }
    return response.json();
  }
}

async function vectors() {
  const secret = "an example secret of 40 characters, to be";
  const old = "the secret that was in use before, also long";
  const cases = [
    { name: "http", secrets: [secret], cookie: "better-auth.session_token" },
    { name: "https", secrets: [secret], url: "https://app.example.com", cookie: "__Secure-better-auth.session_token" },
    { name: "own prefix", secrets: [secret], prefix: "acme", cookie: "acme.session_token" },
    { name: "rotated secret", secrets: [secret, old], cookie: "better-auth.session_token" },
    { name: "before the rotation", secrets: [old], cookie: "better-auth.session_token" },
  ];
  const out = { package: "better-auth 1.7.1", secret, old, sessions: [], tokens: [] };
  for (const c of cases) {
    const running = await serve(c);
    for (let i = 0; i < 3; i++) {
      const client = new Client(running);
      const email = `user${i}@example.com`;
      await client.call("/sign-up/email", { name: `User ${i}`, email, password: "a password, long enough" });
      const org = await client.call("/organization/create", { name: `Org ${i}`, slug: `org-${i}` });
      await client.call("/organization/set-active", { organizationId: org.id });
      const { session } = await client.call("/get-session");
      out.sessions.push({ case: c.name, cookie: c.cookie, value: client.cookies.get(c.cookie), token: session.token, signedWith: c.secrets[0] === old ? "old" : "secret" });
      if (c.name === "http" && i === 0) {
        const { token } = await client.call("/token");
        out.tokens.push({ token, issuer: running.baseURL, audience: running.baseURL, user: session.userId, organization: session.activeOrganizationId, jwks: await client.call("/jwks") });
      }
    }
    running.server.close();
    running.server.closeAllConnections();
  }
  console.log(JSON.stringify(out, null, 1));
}

switch (positionals[0]) {
  case "vectors":
    await vectors();
    break;
  case "serve": {
    const running = await serve({ port: Number(values.port), databaseURL: values.database, secrets: values.secret, url: values.url, prefix: values.prefix, withTenants: values.tenants });
    console.log(JSON.stringify({ address: running.address }));
    break;
  }
  default:
    console.error("usage: node better-auth.mjs vectors | serve [--port N] [--database URL] --secret SECRET");
    process.exitCode = 2;
}
