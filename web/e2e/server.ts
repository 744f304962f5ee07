// One Heddle for all tests: the demo, and further organisations: one with nothing, one with next to nothing, one for
// texts that mean harm.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { freePort } from "./ports.ts";
import { type Provider, plan, startProvider } from "./provider.ts";
import { until } from "./until.ts";

const root = join(import.meta.dirname, "../..");
const heddled = process.env.HEDDLED ?? join(root, "target/debug/heddled");

export interface World {
  api: string;
  console: string;
  frontend: string;
  /** The folder in which mails are files. */
  mail: string;
  /** Where proxies connect, and the file of the authority that vouches for it. */
  xds: string;
  xdsCa: string;
  mesh: string;
  envoy: string;
  org: string;
  /** Who signs in with a password; the owner of the demo. */
  member: { email: string; password: string };
  /** Tokens: the member's own and a viewer of the demo; owners of the other organisations. */
  admin: string;
  viewer: string;
  auditor: string;
  nothing: string;
  marked: string;
  bare: string;
  single: string;
  /** An identity provider, for the organisation `single` and a connection `workforce`. */
  provider: Provider;
  proxies: { name: string; service: string; admin: string }[];
}

declare module "vitest" {
  export interface ProvidedContext {
    world: World;
  }
}

function findEnvoy(): string {
  const lib = join(root, ".tools/venv/lib");
  for (const python of existsSync(lib) ? readdirSync(lib) : []) {
    const envoy = join(lib, python, "site-packages/envoy/_bin/envoy");
    if (existsSync(envoy)) return envoy;
  }
  throw new Error("no Envoy: run scripts/setup");
}

/** What a token may do is decided at the database, by who runs the server. */
function admin(pid: number, ...args: string[]): string {
  const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  const url = environment.find((entry) => entry.startsWith("DATABASE_URL="))?.slice("DATABASE_URL=".length);
  const printed = execFileSync(heddled, ["admin", ...args, "--json"], {
    encoding: "utf8",
    env: { ...process.env, DATABASE_URL: url },
  });
  return JSON.parse(printed).token;
}

export default async function setup(project: TestProject) {
  const directory = mkdtempSync("/tmp/heddle-console-");
  const ready = join(directory, "ready.json");
  const envoy = findEnvoy();
  const [api, xds] = [await freePort(), await freePort()];
  const args = ["up", "--demo", "--stop-with-parent", "--envoy", envoy];
  args.push("--data-dir", join(directory, "data"), "--ready-file", ready);
  args.push("--api-listen", `127.0.0.1:${api}`, "--xds-listen", `127.0.0.1:${xds}`);
  const { DATABASE_URL: _, ...env } = process.env;
  const certificate = plan(directory);
  const calls = { HEDDLE_EGRESS_ALLOW: "127.0.0.1/32", HEDDLE_EGRESS_CA: certificate.certificate };
  let idp: ChildProcess | undefined;
  const child = spawn(heddled, args, { env: { ...env, ...calls }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  try {
    await until("the demo serves", 120_000, () => {
      if (child.exitCode !== null) throw new Error(output);
      return existsSync(ready);
    });
    const told = JSON.parse(readFileSync(ready, "utf8"));
    const started = await startProvider(certificate, `${told.api}/console/sso/single/workforce`);
    idp = started.child;
    const world: World = {
      api: told.api,
      console: told.console,
      frontend: told.frontend,
      mail: join(directory, "data/mail"),
      xds: told.xds,
      xdsCa: join(directory, "data/tls/ca.pem"),
      mesh: told.mesh,
      envoy,
      org: told.org,
      member: told.member,
      admin: await ownToken(told),
      proxies: told.proxies,
      viewer: admin(
        told.pids.server,
        "token",
        "create",
        "--org",
        told.org,
        "--role",
        "viewer",
        "--name",
        "onlooker",
      ),
      auditor: "",
      nothing: admin(told.pids.server, "org", "create", "nothing"),
      marked: admin(told.pids.server, "org", "create", "marked"),
      bare: admin(told.pids.server, "org", "create", "bare"),
      single: admin(told.pids.server, "org", "create", "single"),
      provider: started.provider,
    };
    world.auditor = await auditorToken(world);
    // Meshes in which there is nothing, and a service of which there is nothing.
    await put(world, "meshes/void", {});
    await put(world, "meshes/bare", { display_name: "Bare" });
    await put(world, "meshes/bare/services/lonely", {
      ports: [{ name: "http", port: 8080, protocol: "http" }],
    });
    await put(world, "meshes/bare/services/lonely/routes/all", {
      priority: 1,
      backends: [{ service: "lonely" }],
    });
    // A mesh with a service that is not trusted any more.
    await put(world, "meshes/leaky", {}, world.admin);
    await put(
      world,
      "meshes/leaky/services/old",
      { ports: [{ name: "http", port: 8080, protocol: "http" }] },
      world.admin,
    );
    // A webhook that leads to somebody who takes nothing.
    const releases = { name: "releases", url: `${started.provider.issuer}/none`, topics: ["revision"] };
    await post(world.api, "orgs/-/webhooks", releases, world.admin);
    const revoked = { service: "old", reason: "SEC-78: its image was replaced" };
    await post(world.api, "orgs/-/meshes/leaky/revocations", revoked, world.admin);
    project.provide("world", world);
  } catch (error) {
    idp?.kill();
    await stop(child, directory);
    throw error;
  }
  return () => {
    idp?.kill();
    return stop(child, directory);
  };
}

async function post(api: string, path: string, body: unknown, token?: string) {
  const answer = await fetch(`${api}/v1/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
  return answer.json();
}

/** A token of the member's own, made as a person would make one. */
async function ownToken(told: { api: string; org: string; member: World["member"] }): Promise<string> {
  const { access_token } = await post(told.api, "sessions", { org: told.org, ...told.member });
  return (await post(told.api, "orgs/-/tokens", { name: "tests", expires_in: "24h" }, access_token)).secret;
}

/** A program that reads everything, people too, and changes nothing. */
async function auditorToken({ api, admin }: World): Promise<string> {
  await post(api, "orgs/-/service-accounts", { name: "auditor" }, admin);
  await post(api, "orgs/-/role-bindings", { service_account: "auditor", role: "auditor" }, admin);
  return (await post(api, "orgs/-/tokens", { name: "auditor", service_account: "auditor" }, admin)).secret;
}

async function put(world: World, path: string, body: unknown, token = world.bare) {
  const answer = await fetch(`${world.api}/v1/orgs/-/${path}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
}

async function stop(child: ChildProcess, directory: string) {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGTERM");
    await ended;
  }
  rmSync(directory, { recursive: true, force: true });
}
