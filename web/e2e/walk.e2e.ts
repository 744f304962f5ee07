// The first time, in one sitting: sign in, make a mesh and a service, connect an Envoy, shift the canary, deny a caller,
// roll back. What the console says is compared with what the Envoys do.
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { address, startBrowser, withPage, world } from "./browser.ts";
import { freePort } from "./ports.ts";
import { signIn } from "./screens.ts";
import { until } from "./until.ts";

startBrowser();

const directory = mkdtempSync("/tmp/heddle-walk-");
const started: ChildProcess[] = [];
afterAll(async () => {
  for (const child of started) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue;
    const ended = new Promise((done) => child.once("exit", done));
    process.kill(-child.pid, "SIGKILL");
    await ended;
  }
  rmSync(directory, { recursive: true, force: true });
});

/** Runs what a person copied, in a folder of its own, with an `envoy` in the path. */
function run(commands: string): ChildProcess {
  const wrapper = join(directory, "envoy");
  // Several Envoys share this machine; each is told not to look for one that it would replace.
  writeFileSync(
    wrapper,
    `#!/bin/sh\nexec '${world.envoy}' --disable-hot-restart --concurrency 1 -l error "$@"\n`,
  );
  chmodSync(wrapper, 0o755);
  const env = { ...process.env, PATH: `${directory}:${process.env.PATH}` };
  const child = spawn("bash", ["-c", commands], { cwd: directory, env, detached: true, stdio: "ignore" });
  started.push(child);
  return child;
}

/** To a screen of the mesh, by the navigation. */
const goTo = (page: Page, screen: string) =>
  page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: screen, exact: true }).click();

const lights = (page: Page) =>
  page.locator("[data-light]").evaluateAll((all) => all.map((one) => one.getAttribute("data-light")));

async function answers(n: number): Promise<{ status: number; version: string }[]> {
  const each = Array.from({ length: n }, async () => {
    const answer = await fetch(world.frontend);
    const body = (await answer.json().catch(() => ({}))) as { payments?: { version?: string } };
    return { status: answer.status, version: body.payments?.version ?? "" };
  });
  return Promise.all(each);
}

async function signInByDeepLink(page: Page) {
  await page.goto(address("/meshes/shop/services?q=pay"));
  await signIn(page, world.org, world.member.email, "not the password");
  await page.getByText("the password is wrong", { exact: false }).waitFor();
  await signIn(page, world.org, world.member.email, world.member.password);
  await page.getByRole("heading", { name: "Services" }).waitFor();
  expect(new URL(page.url()).search).toBe("?q=pay");
  expect(await page.getByLabel("Find a service").inputValue()).toBe("pay");
  await page.getByRole("link", { name: "payments" }).waitFor();
  expect(await page.getByRole("link", { name: "frontend" }).count()).toBe(0);
}

async function makeMeshAndService(page: Page) {
  await page.getByRole("link", { name: "Heddle" }).click();
  await page.getByRole("link", { name: "New mesh" }).click();
  await page.getByLabel("Name", { exact: true }).fill("Not A Name");
  await page.getByRole("button", { name: "Create mesh" }).click();
  await page.getByText("What is wrong is marked below.").waitFor();
  expect(await page.getByLabel("Name", { exact: true }).getAttribute("aria-invalid")).toBe("true");
  await page.getByLabel("Name", { exact: true }).fill("walk");
  await page.getByRole("button", { name: "Create mesh" }).click();
  await page.getByRole("link", { name: "Add the first service" }).click();
  await page.getByLabel("Name", { exact: true }).fill("hello");
  await page.getByRole("button", { name: "Create service" }).click();
  await page.getByText("Nothing runs it yet.").waitFor();
}

async function connectEnvoy(page: Page) {
  // The first try fails: somebody else has the port. The light says so in words.
  const [inbound, outbound, admin] = [await freePort(), await freePort(), await freePort()];
  const squatter = createServer().listen(inbound, "0.0.0.0");
  await page.getByRole("main").getByRole("link", { name: "Connect a proxy" }).first().click();
  await page.getByText("Ports of the Envoy").click();
  await page.getByLabel("From other proxies").fill(String(inbound));
  await page.getByLabel("From the application").fill(String(outbound));
  await page.getByLabel("Admin interface").fill(String(admin));
  await page.getByRole("button", { name: "Make a join token" }).click();
  const commands = (await page.getByRole("region", { name: "commands" }).textContent()) ?? "";
  await page.getByText("Waiting for it to call.", { exact: false }).waitFor();
  expect(await lights(page)).toEqual(["on", "next", "waiting", "waiting", "waiting"]);
  const first = run(commands);
  await page.getByText("hello-1 cannot listen on a port that it was given", { exact: false }).waitFor();

  // What needs attention is what the mesh's first page begins with, for whoever looks from elsewhere.
  await withPage({ member: true }, async (other) => {
    await other.goto(address("/meshes/walk"));
    await other.getByRole("heading", { name: "Needs attention" }).waitFor();
    await other.getByText("hello-1 cannot listen on a port", { exact: false }).waitFor();
    await goTo(other, "Proxies");
    await other.getByRole("link", { name: "hello-1" }).click();
    await other.getByRole("heading", { name: "hello-1 cannot listen on a port" }).waitFor();
    await other.getByText("It comes from the service hello", { exact: false }).waitFor();
    await other.getByText("What Envoy said").click();
    await other.getByText("Address already in use", { exact: false }).first().waitFor();
    await other.getByRole("link", { name: "Correct the service" }).waitFor();
  });

  // The port is free again: the same commands, and before the same eyes every light is on.
  await new Promise((closed) => squatter.close(closed));
  const ended = new Promise((done) => first.once("exit", done));
  if (first.pid) process.kill(-first.pid, "SIGKILL");
  await ended;
  run(commands);
  await until("every light is on", 15_000, async () => (await lights(page)).join() === "on,on,on,on,on");
  await page.getByText("all of it acknowledged", { exact: false }).waitFor();
  await goTo(page, "Overview");
  await page.getByRole("heading", { name: "Nothing needs attention" }).waitFor();
  await goTo(page, "Proxies");
  await page.getByRole("row", { name: /hello-1 In sync/ }).waitFor();
}

async function shiftCanary(page: Page) {
  const weights = async () => [
    await page.getByLabel("Weight of v1").inputValue(),
    await page.getByLabel("Weight of v2").inputValue(),
  ];
  await goTo(page, "Services");
  await page.getByRole("link", { name: "payments" }).click();
  await page.getByRole("link", { name: "all", exact: true }).click();
  const slider = page.getByRole("slider", { name: "Share of v2" });
  await slider.waitFor();
  expect(await weights()).toEqual(["90", "10"]);

  // By keyboard.
  await slider.focus();
  await page.keyboard.press("End");
  expect(await weights()).toEqual(["0", "100"]);
  await page.keyboard.press("Home");
  expect(await weights()).toEqual(["100", "0"]);
  await page.getByRole("button", { name: "100%", exact: true }).click();

  // The form shows itself as a line for a shell.
  await page.getByRole("button", { name: "curl" }).first().click();
  const line = await page.getByRole("region", { name: "curl" }).textContent();
  expect(line).toContain('"weight":100');
  expect(line).toContain("If-Match");

  // What is wrong is said at the field.
  await page.getByLabel("Weight of v1").fill("many");
  await page.getByRole("button", { name: "Shift traffic" }).click();
  await page.getByText("What is wrong is marked below.").waitFor();
  expect(await page.getByLabel("Weight of v1").getAttribute("aria-invalid")).toBe("true");
  expect(await page.getByLabel("Weight of v2").getAttribute("aria-invalid")).toBe("false");

  await page.getByLabel("Weight of v1").fill("0");
  await page.getByLabel("Why this change").first().fill("v2 is good – alle auf v2 ✓");
  await page.getByRole("button", { name: "Shift traffic" }).click();
  await page.getByText("Saved: proxies are getting it").waitFor();
  await until("every answer comes from v2", 15_000, async () =>
    (await answers(40)).every((one) => one.version === "v2"),
  );

  // Somebody else was faster: nothing is overwritten.
  await withPage({ member: true }, async (other) => {
    await other.goto(address("/meshes/shop/services/payments/routes/all"));
    await other.getByRole("button", { name: "50%", exact: true }).click();
    await other.getByRole("button", { name: "Shift traffic" }).click();
    await other.getByText("Saved: proxies are getting it").waitFor();
  });
  await page.getByRole("button", { name: "25%", exact: true }).click();
  await page.getByRole("button", { name: "Shift traffic" }).click();
  await page.getByText("Somebody changed this in the meantime", { exact: false }).waitFor();
  await page.getByRole("button", { name: "Load the newer version" }).click();
  await until("the newer weights are shown", 5_000, async () => (await weights()).join() === "50,50");
  await page.getByRole("button", { name: "10%", exact: true }).click();
  await page.getByRole("button", { name: "Shift traffic" }).click();
  await until("v1 answers again", 15_000, async () => {
    const all = await answers(60);
    const second = all.filter((one) => one.version === "v2").length;
    return second < 30 && all.some((one) => one.version === "v1");
  });
}

async function denyCaller(page: Page) {
  await goTo(page, "Services");
  await page.getByRole("link", { name: "payments" }).click();
  await page.getByRole("link", { name: "Add rule" }).click();
  await page.getByLabel("Name", { exact: true }).fill("deny-checkout");
  await page.getByLabel("A call that matches is").selectOption("deny");
  await page.getByLabel("Caller 1", { exact: true }).fill("checkout");
  await page.getByLabel("Why the rule exists").fill("A test");
  await page.getByRole("button", { name: "Create rule" }).click();
  await page.getByRole("link", { name: "deny-checkout" }).waitFor();
  await until("calls are denied", 15_000, async () => (await answers(5)).every((one) => one.status === 403));
  await goTo(page, "Access");
  await page.getByTitle("checkout → payments: denied by a rule").waitFor();
  await page.getByTitle("frontend → checkout: allowed").waitFor();
  await goTo(page, "Topology");
  await page.getByRole("button", { name: "table" }).click();
  await page.getByRole("row", { name: /checkout payments \(denied\)/ }).waitFor();
}

/** The demo's mesh as it was before both, by its history. */
async function rollBack(page: Page, revision: string) {
  await goTo(page, "History");
  await page.getByRole("row", { name: /v2 is good – alle auf v2 ✓/ }).waitFor();
  await page.getByRole("link", { name: revision, exact: true }).click();
  await page.getByRole("heading", { name: `Revision ${revision}` }).waitFor();
  await page.getByRole("button", { name: "Roll back to it" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("payments / deny-checkout").waitFor();
  await dialog.getByLabel("Why").fill("Checkout must be able to charge");
  await dialog.getByRole("button", { name: "Roll back", exact: true }).click();
  await page.getByText(`Rolled back to revision ${revision}`).first().waitFor();
  await page.getByText("Checkout must be able to charge").waitFor();
  await page.getByText("proxies have it", { exact: false }).waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
  await until("checkout may call again, and v1 answers most", 15_000, async () => {
    const all = await answers(60);
    const second = all.filter((one) => one.version === "v2").length;
    return all.every((one) => one.status === 200) && second < 30;
  });
  await goTo(page, "Services");
  await page.getByRole("link", { name: "payments" }).click();
  await page.getByRole("link", { name: "all", exact: true }).click();
  await page.getByLabel("Weight of v1").waitFor();
  expect(await page.getByLabel("Weight of v1").inputValue()).toBe("90");
}

/** The newest of the demo's mesh. */
async function newestRevision(page: Page): Promise<string> {
  await page.getByLabel("Mesh", { exact: true }).selectOption(world.mesh);
  await goTo(page, "History");
  const link = page.locator("tbody").getByRole("link", { name: /^\d+$/ }).first();
  return (await link.textContent()) ?? "";
}

test("sign in, make a mesh and a service, connect an Envoy, shift the canary, deny a caller, roll back", async () => {
  await withPage({}, async (page) => {
    await signInByDeepLink(page);
    await makeMeshAndService(page);
    await connectEnvoy(page);
    const before = await newestRevision(page);
    await shiftCanary(page);
    await denyCaller(page);
    await rollBack(page, before);
  });
}, 150_000);

test("a rule that denies is deleted, once somebody means it", async () => {
  const path = "/meshes/shop/services/payments/access-rules/deny-for-a-while";
  const put = await fetch(`${world.api}/v1/orgs/-${path}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${world.admin}`, "content-type": "application/json" },
    body: JSON.stringify({ action: "deny", from: [{ service: "checkout" }] }),
  });
  expect(put.status).toBe(201);
  await until("calls are denied", 15_000, async () => (await answers(5)).every((one) => one.status === 403));
  await withPage({ token: world.admin }, async (page) => {
    await page.goto(address("/meshes/shop/services/payments/access/deny-for-a-while"));
    await page.getByRole("button", { name: "Delete rule" }).click();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Delete rule" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete rule" }).click();
    await until("calls are allowed", 15_000, async () =>
      (await answers(5)).every((one) => one.status === 200),
    );
  });
});
