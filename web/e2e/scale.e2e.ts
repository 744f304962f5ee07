// A large mesh: how long each page takes from cold until it shows what it came for. `make test-scale` runs it, with
// optimised builds: those are what people meet. The proxies are streams of the load client, which does on the wire
// what Envoy does.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { address, type Options, startBrowser, withPage, world } from "./browser.ts";
import { all, fill } from "./screens.ts";
import { until } from "./until.ts";

const root = join(import.meta.dirname, "../..");
const bench = process.env.HEDDLE_BENCH ?? join(root, "target/release/heddle-bench");
const SERVICES = 300;
/** So many of the services run, each with as many proxies. */
const RUNNING = 10;
const PROXIES = 2_000;
const REVISIONS = 500;
const LOADS = 5;
/** In milliseconds. */
const LIMIT = 1_000;
const mesh = "large";
const name = (n: number) => `svc-${String(n).padStart(3, "0")}`;

async function send(method: string, path: string, body?: unknown) {
  const answer = await fetch(`${world.api}/v1/orgs/-/meshes${path}`, {
    method,
    headers: { authorization: `Bearer ${world.admin}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
  return answer.json();
}

/** The proxies of one service, each a stream that stays. */
async function connect(directory: string, service: string): Promise<ChildProcess> {
  const token = await send("POST", `/${mesh}/join-tokens`, { name: service, service, reusable: true });
  const file = join(directory, service);
  writeFileSync(file, token.secret, { mode: 0o600 });
  const heddle = {
    bind_address: "0.0.0.0",
    advertise_address: "10.0.0.1",
    app_address: "127.0.0.1",
    outbound_port: 15001,
    inbound_ports: { http: 15006 },
    version: "v1",
  };
  const flags = [
    ["--server", new URL(world.xds).host],
    ["--tls-ca", world.xdsCa],
    ["--token-file", file],
    ["--node-id", `${service}-{n}`],
    ["--node-cluster", service],
    ["--node-metadata", JSON.stringify({ heddle })],
    ["--proxies", String(PROXIES / RUNNING)],
    ["--in-flight", "20"],
    ["--stay", "1200"],
    ["--out", directory],
  ].flat();
  return spawn(bench, ["xds-load", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
}

/** The nearest-rank percentile. */
const percentile = (times: number[], percent: number) =>
  [...times].sort((a, b) => a - b)[Math.ceil((times.length * percent) / 100) - 1] ?? Number.NaN;

describe.runIf(process.env.SCALE)("a large mesh", () => {
  startBrowser();
  const directory = mkdtempSync("/tmp/heddle-scale-");
  const fleets: ChildProcess[] = [];

  beforeAll(async () => {
    if (!existsSync(bench)) throw new Error(`${bench} is missing: cargo build --release -p heddle-bench`);
    await send("PUT", `/${mesh}`, {});
    const ports = [{ name: "http", port: 8080, protocol: "http" }];
    for (let first = 0; first < SERVICES; first += 50) {
      const resources = Array.from({ length: 50 }, (_, index) => {
        const n = first + index;
        const service = name(n);
        const upstreams = n === 0 ? [] : [{ service: name(n >> 2) }];
        return [
          { kind: "service", name: service, ports, upstreams },
          { kind: "route", service, name: "all", priority: 1, backends: [{ service }] },
          {
            kind: "access_rule",
            service,
            name: "callers",
            action: "allow",
            from: [{ service: name(n >> 2) }],
          },
        ];
      }).flat();
      await send("POST", `/${mesh}/apply`, { mode: "apply", resources });
    }
    for (let n = 0; n < REVISIONS; n++)
      await send("PATCH", `/${mesh}/services/${name(n % SERVICES)}`, { labels: { round: String(n) } });
    let said = "";
    for (let n = 0; n < RUNNING; n++) {
      const fleet = await connect(directory, name(n));
      fleets.push(fleet);
      for (const stream of [fleet.stdout, fleet.stderr]) stream?.on("data", (text) => (said += text));
    }
    await until("every proxy has the newest revision", 240_000, async () => {
      if (fleets.some((fleet) => fleet.exitCode !== null)) throw new Error(said);
      const { status } = await send("GET", `/${mesh}`);
      const rollout = await send("GET", `/${mesh}/revisions/${status.revision}/rollout?wait=5s`);
      return rollout.target === PROXIES && rollout.done;
    });
  }, 600_000);

  afterAll(() => {
    for (const fleet of fleets) fleet.kill("SIGTERM");
    rmSync(directory, { recursive: true, force: true });
  });

  test("every page shows what it came for within a second", async () => {
    const { items } = await send("GET", `/${mesh}/proxies?limit=1`);
    const large = {
      mesh,
      service: name(1),
      route: "all",
      rule: "callers",
      proxy: items[0].meta.uid,
      revision: "400",
    };
    const times: Record<string, number[]> = {};
    for (const [path, screen] of all) {
      const who: Options = screen.outside ? {} : screen.member ? { member: true } : { token: world.admin };
      for (let n = 0; n < LOADS; n++)
        await withPage(who, async (page) => {
          await page.goto(address(fill(path, large)), { waitUntil: "commit" });
          const mark = await page.waitForFunction(
            () => performance.getEntriesByName("content-ready")[0]?.startTime,
          );
          const left = await page.evaluate(() => [
            document.querySelectorAll("h1").length === 0 ? "no heading" : "",
            document.querySelector("[data-state=loading]")?.textContent ?? "",
            /Checking…|checking…|Looking for/.exec(document.body.textContent)?.[0] ?? "",
          ]);
          expect(left.join(""), `${path} says that it is ready`).toBe("");
          times[path] = [...(times[path] ?? []), Math.round((await mark.jsonValue()) ?? Number.NaN)];
        });
    }
    const p95 = Object.fromEntries(Object.entries(times).map(([path, each]) => [path, percentile(each, 95)]));
    for (const [path, ms] of Object.entries(p95).sort((a, b) => b[1] - a[1]))
      console.info(`${ms} ms  ${path}`);
    const evidence = join(root, "target/evidence");
    mkdirSync(evidence, { recursive: true });
    const figures = {
      commit: execFileSync("git", ["rev-parse", "HEAD"], { cwd: root, encoding: "utf8" }).trim(),
      seed: 0,
      services: SERVICES,
      proxies: PROXIES,
      revisions: REVISIONS,
      loads: LOADS,
      cpus: cpus().length,
      limit_ms: LIMIT,
      p95_ms: p95,
      loads_ms: times,
    };
    writeFileSync(join(evidence, "console-scale.json"), `${JSON.stringify(figures, null, 2)}\n`);
    expect(Object.entries(p95).filter(([, ms]) => !(ms < LIMIT))).toEqual([]);
  }, 600_000);
});
