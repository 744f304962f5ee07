// What another site can do to somebody who is signed in to the console: nothing (sentences in xtask/rules.toml).
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { address, open, startBrowser, withPage, world } from "./browser.ts";
import { freePort } from "./ports.ts";
import { all, fill, signIn } from "./screens.ts";

startBrowser();

interface Operation {
  method: string;
  path: string;
  open: boolean;
}

const document = JSON.parse(readFileSync(join(import.meta.dirname, "../../api/openapi.json"), "utf8"));
const values: Record<string, string> = { org: "-", mesh: world.mesh, service: "payments", route: "all" };
const operations: Operation[] = Object.entries<Record<string, { security?: unknown[] }>>(
  document.paths,
).flatMap(([path, methods]) =>
  Object.entries(methods)
    .filter(([method]) => ["get", "post", "put", "patch", "delete"].includes(method))
    .map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "some"),
      open: operation.security?.length === 0,
    })),
);
const writes = operations.filter(({ method }) => method !== "GET");

/** A site of somebody else's: another origin, with a page that holds nothing. */
let elsewhere = "";
let server: Server;
beforeAll(async () => {
  const port = await freePort();
  server = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end(
      "<!doctype html><title>Elsewhere</title><form method=post enctype=text/plain><input name='{\"a' value='\":1}'>",
    );
  }).listen(port, "127.0.0.1");
  elsewhere = `http://127.0.0.1:${port}`;
});
afterAll(() => new Promise((closed) => server.close(closed)));

async function newest(): Promise<string> {
  const answer = await fetch(`${world.api}/v1/orgs/-/meshes/bare/revisions?limit=1`, {
    headers: { authorization: `Bearer ${world.bare}` },
  });
  return answer.text();
}

/** Somebody who is signed in, and opens the other site in the next tab. */
async function lured(use: (page: Page) => Promise<void>) {
  const { page, context, wrong } = await open({});
  await page.goto(address("/"));
  await signIn(page, world.org, world.member.email, world.member.password);
  await page.getByRole("heading", { name: "Meshes" }).waitFor();
  const other = await context.newPage();
  await other.goto(elsewhere);
  await use(other);
  expect(await context.cookies()).toEqual([]);
  expect(wrong).toEqual([]);
  await context.close();
}

test("sec_w01_no_write_comes_from_another_site", async () => {
  expect(writes.length).toBeGreaterThan(40);
  const before = await newest();
  await lured(async (page) => {
    // As a script there would send it: with what needs no permission of the server, and then with what does.
    const answered: string[] = [];
    page.on("response", (response) => {
      const request = response.request();
      if (request.method() !== "OPTIONS") answered.push(`${request.method()} ${response.status()}`);
    });
    const read = await page.evaluate(
      async ({ api, writes }) => {
        const got: string[] = [];
        const body = "{}";
        for (const { method, path } of writes) {
          const url = api + path;
          if (method === "POST")
            await fetch(url, { method, body, mode: "no-cors", credentials: "include" }).catch(() => {});
          const headers = { "content-type": "application/json" };
          await fetch(url, { method, body, headers, credentials: "include" })
            .then((answer) => got.push(`${method} ${path} ${answer.status}`))
            .catch(() => {});
        }
        return got;
      },
      { api: world.api, writes },
    );
    expect(read).toEqual([]);
    expect(answered.length).toBe(writes.filter(({ method }) => method === "POST").length);
    expect(answered.filter((line) => !/^POST (401|415)$/.test(line))).toEqual([]);

    // As a form there would.
    for (const path of ["/v1/orgs/-/meshes", "/v1/sessions", `/v1/orgs/-/meshes/${world.mesh}/apply`]) {
      await page.goto(elsewhere);
      const sent = page.waitForResponse(world.api + path);
      await page.evaluate((action) => {
        const form = window.document.forms[0];
        if (form === undefined) throw new Error("no form");
        form.action = action;
        form.submit();
      }, world.api + path);
      expect([401, 415], path).toContain((await sent).status());
      await page.waitForURL(world.api + path);
    }
  });
  // Nor without a browser: an address from nowhere, or from elsewhere, is not what lets somebody in.
  for (const { method, path, open } of writes) {
    const from: Record<string, string>[] = [
      {},
      { origin: elsewhere },
      { "sec-fetch-site": "cross-site", origin: "null" },
    ];
    for (const headers of from) {
      const answer = await fetch(world.api + path, {
        method,
        headers: { "content-type": open ? "text/plain" : "application/json", ...headers },
        body: "{}",
      });
      expect(answer.status, `${method} ${path}`).toBe(open ? 415 : 401);
      expect(answer.headers.get("set-cookie"), path).toBeNull();
    }
  }
  expect(await newest()).toBe(before);
}, 90_000);

test("sec_w04_no_other_origin_reads_an_answer", async () => {
  for (const { method, path } of operations) {
    for (const origin of ["null", "https://sub.evil.example", elsewhere, `${world.api}.evil.example`]) {
      const requests: { method: string; headers: Record<string, string> }[] = [
        { method: method === "GET" ? "GET" : "OPTIONS", headers: { origin } },
        {
          method: "OPTIONS",
          headers: {
            origin,
            "access-control-request-method": method,
            "access-control-request-headers": "authorization,content-type",
          },
        },
      ];
      for (const request of requests) {
        const answer = await fetch(world.api + path, request);
        const granted = [...answer.headers.keys()].filter((name) => name.startsWith("access-control-"));
        expect(granted, `${method} ${path} from ${origin}`).toEqual([]);
      }
    }
  }
  await lured(async (page) => {
    const read = await page.evaluate(
      async ({ api, token }) => {
        const got: string[] = [];
        for (const [path, headers] of [
          ["/v1", {}],
          ["/v1/codes", {}],
          ["/v1/whoami", { authorization: `Bearer ${token}` }],
          ["/console/", {}],
        ] as const)
          await fetch(api + path, { headers })
            .then((answer) => got.push(`${path} ${answer.status}`))
            .catch(() => {});
        return got;
      },
      { api: world.api, token: world.viewer },
    );
    expect(read).toEqual([]);
  });
}, 60_000);

test("sec_w05_w07_no_answer_is_kept_and_no_credential_is_in_an_address", async () => {
  await withPage({}, async (page) => {
    const kept: string[] = [];
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url(), request.headers().referer ?? ""));
    page.on("response", (response) => {
      const cache = response.headers()["cache-control"] ?? "";
      const ours = new URL(response.url()).pathname.startsWith("/v1");
      if (ours && !/no-store|^private, no-cache$/.test(cache)) kept.push(`${response.url()}: ${cache}`);
    });
    await page.goto(address("/"));
    await signIn(page, world.org, world.member.email, world.member.password);
    await page.getByRole("heading", { name: "Meshes" }).waitFor();
    for (const [path, screen] of all.filter(([, screen]) => !screen.outside)) {
      await page.goto(address(fill(path, screen.full(world))));
      await page.getByRole("heading", { level: 1 }).first().waitFor();
      await page.waitForFunction(() => window.document.querySelector("[data-state=loading]") === null);
    }
    expect(kept).toEqual([]);
    const { access, refresh } = await page.evaluate(() =>
      JSON.parse(sessionStorage.getItem("heddle.session") ?? "null"),
    );
    for (const secret of [access, refresh, world.member.password])
      expect(asked.filter((url) => url.includes(secret) || url.includes(encodeURIComponent(secret)))).toEqual(
        [],
      );

    // Signed out, neither the way back nor the browser's own store shows anything.
    const read = [...new Set(asked.filter((url) => new URL(url || address("/")).pathname.startsWith("/v1")))];
    expect(read.length).toBeGreaterThan(20);
    await page.getByRole("button", { name: "Sign out" }).first().click();
    await page.getByRole("heading", { name: "Sign in to Heddle" }).waitFor();
    await page.goBack();
    await page.getByRole("heading", { name: "Sign in to Heddle" }).waitFor();
    const stored = await page.evaluate(async (urls) => {
      const found: string[] = [];
      for (const url of urls)
        await fetch(url, { cache: "only-if-cached", mode: "same-origin" })
          .then((answer) => answer.ok && found.push(url))
          .catch(() => {});
      return found;
    }, read);
    expect(stored).toEqual([]);
  });
}, 90_000);
