// One Heddle for all tests: the demo, and further organisations: one with nothing, one with next to nothing, one for
// texts that mean harm.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { freePort } from "./ports.ts";
import { until } from "./until.ts";

const root = join(import.meta.dirname, "../..");
const heddled = process.env.HEDDLED ?? join(root, "target/debug/heddled");

export interface World {
  api: string;
  console: string;
  frontend: string;
  mesh: string;
  envoy: string;
  /** Tokens: the demo's admin and a viewer of the demo; owners of the other organisations. */
  admin: string;
  viewer: string;
  nothing: string;
  marked: string;
  bare: string;
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
  const child = spawn(heddled, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  try {
    await until("the demo serves", 120_000, () => {
      if (child.exitCode !== null) throw new Error(output);
      return existsSync(ready);
    });
    const told = JSON.parse(readFileSync(ready, "utf8"));
    const world: World = {
      api: told.api,
      console: told.console,
      frontend: told.frontend,
      mesh: told.mesh,
      envoy,
      admin: told.token,
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
      nothing: admin(told.pids.server, "org", "create", "nothing"),
      marked: admin(told.pids.server, "org", "create", "marked"),
      bare: admin(told.pids.server, "org", "create", "bare"),
    };
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
    project.provide("world", world);
  } catch (error) {
    await stop(child, directory);
    throw error;
  }
  return () => stop(child, directory);
}

async function put(world: World, path: string, body: unknown) {
  const answer = await fetch(`${world.api}/v1/orgs/-/${path}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${world.bare}`, "content-type": "application/json" },
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
