import { beforeAll, expect, test, vi } from "vitest";
import type { ProxyView } from "../api/types.ts";
import { explain } from "./health.ts";
import { judge } from "./judge.ts";
import { matchText, ruleTargets } from "./words.ts";

beforeAll(() => {
  vi.stubGlobal("sessionStorage", { getItem: () => null, setItem: () => {}, removeItem: () => {} });
  vi.stubGlobal("location", { origin: "http://127.0.0.1" });
});

test("sec_w03_nothing_but_an_address_of_this_console_is_gone_to_after_the_sign_in", async () => {
  const { safeNext } = await import("./sign-in.tsx");
  for (const good of ["/", "/meshes/shop?q=a", "/meshes/shop/services/payments/routes/all"])
    expect(safeNext(good)).toBe(good);
  for (const bad of [
    "//evil.example",
    "/\\evil.example",
    "\\evil",
    "https://evil.example",
    "javascript:alert(1)",
    "/a\\b",
    "/\n/evil",
    "",
    undefined,
    7,
  ])
    expect(safeNext(bad), String(bad)).toBe("/");
});

const allow = (from: string, to?: { methods: "GET"[] }[]) => ({
  action: "allow" as const,
  from: [{ service: from }],
  to,
});
const deny = (from: string, to?: { methods: "GET"[] }[]) => ({
  action: "deny" as const,
  from: [{ service: from }],
  to,
});
const some = [{ methods: ["GET" as const] }];

test.each([
  [[], "deny", "default_deny"],
  [[], "allow", "default_allow"],
  [[allow("a")], "deny", "allow"],
  [[allow("b")], "deny", "default_deny"],
  [[allow("a"), deny("a")], "deny", "deny"],
  [[allow("a"), deny("a", some)], "deny", "some"],
  [[allow("a", some)], "deny", "some"],
  [[deny("a", some)], "allow", "some"],
  [[deny("a", some)], "deny", "default_deny"],
  [[{ action: "allow" }], "deny", "allow"],
  [[{ action: "deny" }, allow("a")], "allow", "deny"],
  [[{ action: "deny", report_only: true }, allow("a")], "deny", "allow"],
  [[{ ...allow("a"), expires: "2020-01-01T00:00:00Z" }], "deny", "default_deny"],
  [[{ action: "allow", from: [{ spiffe_prefix: "spiffe://td/service" }] }], "deny", "some"],
  [[{ action: "deny", from: [{ service: "a", networks: ["10.0.0.0/8"] }] }, allow("a")], "deny", "some"],
] as const)("the matrix says of %j with the default %s: %s", (rules, fallback, expected) => {
  expect(judge("a", rules as never, fallback)).toBe(expected);
});

test("matches and targets read as sentences", () => {
  expect(matchText({ match: null })).toBe("Every request");
  expect(matchText({ match: [{ path: { prefix: "/" } }] })).toBe("Any path");
  expect(
    matchText({
      match: [{ path: { prefix: "/v1" }, methods: ["POST"], headers: [{ name: "x-beta", exact: "1" }] }],
    }),
  ).toBe("POST /v1 and below with x-beta: 1");
  expect(ruleTargets({ to: [{ methods: ["GET"], paths: [{ exact: "/a" }, { prefix: "/b" }] }] })).toBe(
    "GET /a, /b and below",
  );
});

test("a refusal is explained by the object that caused it", () => {
  const nack = {
    code: "HED-3007",
    type: "LDS",
    resource: "inbound",
    at: "2026-11-25T00:00:00Z",
    raw: "cannot bind '0.0.0.0:1': Address already in use",
  };
  const cause = { kind: "access_rule", name: "payments/deny-all", pointer: "/from/0", revision: 7 };
  const port = explain({ ...nack, cause }, { name: "payments-1" } as ProxyView);
  expect(port.what).toBe(
    "payments-1 cannot listen on a port that it was given: another program on its host has it.",
  );
  expect(port.cause).toBe(
    "It comes from the access rule payments/deny-all (/from/0), last changed in revision 7.",
  );
  const other = explain({ ...nack, type: "RDS", raw: "?" }, { name: "payments-1" } as ProxyView);
  expect(other.what).toBe("payments-1 does not accept where requests go.");
});

test("what the lights say follows the proxy", async () => {
  const { judgeLights } = await import("./connect.tsx");
  const proxy = (state: string, more = {}) =>
    ({
      name: "a",
      service: "a",
      state,
      address: "127.0.0.1:1",
      revision: { target: 3, acked: 3 },
      meta: { uid: "x" },
      ...more,
    }) as ProxyView;
  const lights = (one?: ProxyView) =>
    judgeLights(one)
      .map(({ light }) => light)
      .join(" ");
  expect(lights()).toBe("on next waiting waiting waiting");
  expect(lights(proxy("connecting"))).toBe("on on on next waiting");
  expect(lights(proxy("ready"))).toBe("on on on on on");
  expect(lights(proxy("offline"))).toBe("on on wrong waiting waiting");
  const own = { mode: "augment", address: null };
  expect(lights(proxy("connecting", own))).toBe("on on on next waiting");
  expect(lights(proxy("ready", own))).toBe("on on on on on");
});

test("an Envoy with listeners of its own is given an overlay, and starts as before with one argument more", async () => {
  const { commands } = await import("./commands.ts");
  const facts = {
    origin: "https://heddle.example",
    mesh: "shop",
    proxy: "edge-1",
    service: "edge",
    version: "v1",
    address: "10.0.0.1",
    app: "",
    ports: { inbound: "15006", outbound: "15001", admin: "15000" },
    secret: "s",
  };
  const managed = commands({ ...facts, own: false });
  expect(managed).toContain("envoy -c envoy.yaml");
  expect(managed).not.toContain("augment");
  const own = commands({ ...facts, own: true });
  expect(own).toContain("proxy=edge-1&service=edge&mode=augment&token_file=");
  expect(own).not.toContain("address=");
  expect(own.split("\n").at(-1)).toBe('envoy -c /etc/envoy/envoy.yaml --config-yaml "$(cat overlay.yaml)"');
});

test("a permission holds in the organisation, or in the mesh that one looks at", async () => {
  const { permits } = await import("../ui/access.tsx");
  const who = { permissions: ["meshes:write"], meshes: { shop: ["config:write"] } };
  expect(permits(who, "meshes:write", undefined)).toBe(true);
  expect(permits(who, "meshes:write", "shop")).toBe(true);
  expect(permits(who, "config:write", "shop")).toBe(true);
  expect(permits(who, "config:write", "other")).toBe(false);
  expect(permits(who, "config:write", undefined)).toBe(false);
});

test("how far a revision has come reads as a sentence", async () => {
  const { rolloutText } = await import("./rollout.tsx");
  const zero = { target: 0, acked: 0, skipped: 0, gone: 0 };
  const text = (counts: object) => rolloutText({ ...zero, ...counts } as never);
  expect(text({})).toBe("No proxy has connected to this mesh yet.");
  expect(text({ target: 1, acked: 1 })).toBe("Its only proxy has it.");
  expect(text({ target: 8, acked: 2, skipped: 5 })).toBe(
    "7 of 8 proxies have it. 5 of them needed nothing of it.",
  );
  expect(text({ target: 3, acked: 2, gone: 1 })).toBe("All 2 proxies have it.");
});

test("a large mesh is drawn around the service where most arrows meet", async () => {
  const { around, busiest } = await import("./topology.tsx");
  const edge = (from: string, to: string) => ({ from, to, kind: "allow" as const });
  const edges = [edge("a", "b"), edge("b", "c"), edge("d", "b"), edge("d", "e"), edge("b", "gone")];
  const names = ["a", "b", "c", "d", "e", "f"];
  expect(busiest(names, edges)).toBe("b");
  expect(around("b", names, edges)).toEqual(["b", "a", "c", "d"]);
  expect(busiest(["x", "y"], [])).toBe("x");
});

test("a form that nobody touched sends back what was sent", async () => {
  const { fieldsOf, specOf } = await import("./service-form.tsx");
  const { routeFieldsOf, routeSpecOf } = await import("./route-form.tsx");
  const { ruleFieldsOf, ruleSpecOf } = await import("./rule-form.tsx");
  const meta = { uid: "x", kind: "x", etag: "x", revision: 1, created_at: "x", updated_at: "x" };
  const defaults = {
    timeout: "1500ms",
    retries: { attempts: 0, on: ["reset" as const], per_try_timeout: "1s" },
  };
  const service = {
    display_name: "Pay",
    labels: { team: "pay" },
    ports: [
      { name: "http", port: 80, protocol: "grpc" as const, mtls: "off" as const },
      { name: "pg", port: 5432, protocol: "tcp" as const, local_port: 15432 },
      { name: "raw", port: 5433, protocol: "tcp" as const, mtls: "strict" as const },
    ],
    mtls: "permissive" as const,
    hostnames: ["a.b", "c"],
    defaults,
  };
  expect(specOf(fieldsOf({ ...service, name: "a", meta }), { ...service, name: "a", meta })).toEqual(service);
  const route = {
    labels: { a: "b" },
    priority: 0,
    match: [
      { path: { exact: "/" }, methods: ["GET" as const, "POST" as const] },
      {
        path: { prefix: "/v1" },
        headers: [
          { name: "x", exact: "" },
          { name: "y", present: false },
        ],
      },
      { headers: [{ name: "z", prefix: "q" }] },
    ],
    backends: [{ version: "v1" }, { service: "other" }],
    settings: { retries: { on: ["reset" as const] } },
  };
  expect(routeSpecOf(routeFieldsOf(route, "pay"), { ...route, name: "a", meta })).toEqual(route);
  for (const to of [
    undefined,
    [{ methods: ["GET" as const] }],
    [{ paths: [{ prefix: "/a" }] }],
    [{ paths: [{ exact: "/a" }] }],
    [{ paths: [{ template: "/a/{*}" }] }],
    [{ paths: [{ prefix: "/a" }], headers: [{ name: "x", exact: "1" }] }],
    [{ hosts: ["a.example"], ports: ["http"] }],
    [{ paths: [{ prefix: "/a" }, { prefix: "/b" }] }, { methods: ["PUT" as const] }],
    // Of what a later server knows and this form does not, nothing is lost.
    [
      {
        paths: [{ template: "/a/{*}" }, { prefix: "/b" }, { later: "/c" }],
        headers: [
          { name: "x", prefix: "1" },
          { name: "y", present: true },
          { name: "z", present: false },
        ],
        later: 1,
      },
    ],
  ]) {
    const rule = {
      action: "deny" as const,
      from: [
        { service: "a" },
        { spiffe: "spiffe://a/b" },
        { networks: ["10.0.0.0/8"] },
        { spiffe_prefix: "spiffe://a" },
        { service: "b", networks: ["::/0"] },
        { later: "x" },
      ],
      report_only: true,
      expires: "2027-01-31T00:00:00Z",
      later: { at: 1 },
      ...(to === undefined ? {} : { to }),
    };
    const whole = { ...rule, name: "a", meta } as never;
    expect(ruleSpecOf(ruleFieldsOf(whole), whole)).toEqual(rule);
  }
  const everybody = { action: "deny" as const };
  const whole = { ...everybody, name: "a", meta };
  expect(ruleSpecOf(ruleFieldsOf(whole), whole)).toEqual(everybody);
});
