// Whom the workloads of a mesh trust: authorities that give way to new ones with a real Envoy that follows, or is away; and
// identities that are revoked and come back.
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { address, barriers, startBrowser, withPage, world } from "./browser.ts";
import { freePort } from "./ports.ts";
import { until } from "./until.ts";

startBrowser();

const mesh = "trusting";
const directory = mkdtempSync("/tmp/heddle-trust-");
let envoy: ChildProcess | undefined;

async function stopEnvoy() {
  if (envoy?.pid === undefined || envoy.exitCode !== null || envoy.signalCode !== null) return;
  const ended = new Promise((done) => envoy?.once("exit", done));
  process.kill(-envoy.pid, "SIGKILL");
  await ended;
}
afterAll(async () => {
  await stopEnvoy();
  rmSync(directory, { recursive: true, force: true });
});

/** What a person copied, in a folder of its own, with an `envoy` in the path. */
function run(commands: string) {
  const wrapper = join(directory, "envoy");
  writeFileSync(
    wrapper,
    `#!/bin/sh\nexec '${world.envoy}' --disable-hot-restart --concurrency 1 -l error "$@"\n`,
  );
  chmodSync(wrapper, 0o755);
  const env = { ...process.env, PATH: `${directory}:${process.env.PATH}` };
  envoy = spawn("bash", ["-c", commands], { cwd: directory, env, detached: true, stdio: "ignore" });
}

async function api(method: string, path: string, body?: unknown) {
  const answer = await fetch(`${world.api}/v1/orgs/-/meshes/${mesh}${path}`, {
    method,
    headers: { authorization: `Bearer ${world.admin}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  expect(answer.ok, await answer.clone().text()).toBe(true);
  return answer.json();
}

const goTo = (page: Page, screen: string) =>
  page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: screen, exact: true }).click();

/** A join token with everything that the form has, and an Envoy that joins with it. */
async function connect(page: Page): Promise<string> {
  await page.goto(address(`/meshes/${mesh}/connect`));
  await page.getByText("Ports of the Envoy").click();
  for (const port of ["From other proxies", "From the application", "Admin interface"])
    await page.getByLabel(port).fill(String(await freePort()));
  await page.getByText("Networks and labels").click();
  await page.getByLabel("Only from these networks").fill("127.0.0.0");
  await page.getByRole("button", { name: "Add label" }).click();
  await page.getByLabel("Key of label 1").fill("zone");
  await page.getByLabel("Value of label 1").fill("eu-1");
  await page.getByLabel("Forget proxies that stay away").check();
  expect(await page.getByLabel("Let further proxies join").isChecked()).toBe(true);
  // What is wrong is said at the field.
  await page.getByRole("button", { name: "Make a join token" }).click();
  await expect
    .poll(() => page.getByLabel("Only from these networks").getAttribute("aria-invalid"), { timeout: 10_000 })
    .toBe("true");
  expect(await barriers(page)).toEqual([]);
  await page.getByLabel("Only from these networks").fill("127.0.0.0/8");
  await page.getByRole("button", { name: "Make a join token" }).click();
  const commands = (await page.getByRole("region", { name: "commands" }).textContent()) ?? "";
  const [token] = (await api("GET", "/join-tokens")).items;
  expect(token).toMatchObject({
    reusable: true,
    ephemeral: true,
    networks: ["127.0.0.0/8"],
    labels: { zone: "eu-1" },
  });
  run(commands);
  await page.getByText("all of it acknowledged", { exact: false }).waitFor({ timeout: 30_000 });
  await goTo(page, "Join tokens");
  await page.getByText("proxies that come and go, from 127.0.0.0/8, labelled zone=eu-1").waitFor();
  return commands;
}

async function begin(
  page: Page,
  what: string,
  more: (dialog: ReturnType<Page["getByRole"]>) => Promise<void>,
) {
  await page.getByRole("button", { name: "Replace authorities" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("What", { exact: true }).selectOption(what);
  await more(dialog);
  expect(await barriers(page)).toEqual([]);
  await dialog.getByRole("button", { name: "Begin" }).click();
  await dialog.waitFor({ state: "detached" });
}

async function act(page: Page, verb: string, typed?: string) {
  await page.getByRole("button", { name: verb }).click();
  const dialog = page.getByRole("dialog");
  const confirm = dialog.getByRole("button", { name: verb });
  if (typed !== undefined) {
    expect(await confirm.isDisabled()).toBe(true);
    await dialog.getByLabel(`Type ${typed} to confirm`).fill(typed);
  }
  await confirm.click();
  await dialog.waitFor({ state: "detached" });
}

const state = (page: Page) => page.getByRole("list", { name: "Steps" }).locator("[aria-current=step]");

test("authorities are replaced step by step, by themselves, without who is away, and turned round", async () => {
  await api("PUT", "", {});
  await api("PUT", "/services/hello", { ports: [{ name: "http", port: 80, protocol: "http" }] });
  await withPage({ member: true }, async (page) => {
    // Without a proxy there is nothing to replace, and the form says so.
    await page.goto(address(`/meshes/${mesh}/authorities`));
    await page.getByText("Nothing was rotated yet").waitFor();
    await page.getByRole("button", { name: "Replace authorities" }).first().click();
    await page.getByRole("dialog").getByRole("button", { name: "Begin" }).click();
    await page.getByText("HED-2040").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await connect(page);

    // A new intermediate goes through by itself.
    await goTo(page, "Authorities");
    await begin(page, "intermediate", async (dialog) => {
      await dialog.getByLabel("Replace certificates over").fill("a while");
      await dialog.getByRole("button", { name: "Begin" }).click();
      await expect
        .poll(() => dialog.getByLabel("Replace certificates over").getAttribute("aria-invalid"), {
          timeout: 10_000,
        })
        .toBe("true");
      await dialog.getByLabel("Replace certificates over").fill("1s");
    });
    await page.getByRole("row", { name: /A new intermediate planned replaced/ }).waitFor({ timeout: 30_000 });

    // A new root, by hand. Its proxy follows.
    await begin(page, "root", async (dialog) => {
      await dialog.getByLabel("Steps are taken").selectOption("manual");
      await dialog.getByLabel("Replace certificates over").fill("1s");
    });
    await expect.poll(() => state(page).textContent(), { timeout: 10_000 }).toBe("prepared");
    await page.getByText("Nobody is waited for: the next step is yours.").waitFor();
    expect(await page.getByRole("button", { name: "Replace authorities" }).isDisabled()).toBe(true);
    await act(page, "Take the next step");
    await expect.poll(() => state(page).textContent(), { timeout: 10_000 }).toBe("published");
    const bar = page.getByRole("progressbar", { name: "Proxies that have followed" });
    await expect.poll(() => bar.getAttribute("aria-valuenow"), { timeout: 20_000 }).toBe("1");
    for (const theme of ["light", "dark"]) {
      await page.evaluate((name) => {
        document.documentElement.dataset.theme = name;
      }, theme);
      expect(await barriers(page), theme).toEqual([]);
    }
    await act(page, "Turn round");
    await page.getByRole("row", { name: /A new root planned turned round/ }).waitFor();
  });
}, 120_000);

test("who is away is waited for, named, and left out by who types the name of the mesh", async () => {
  await withPage({ member: true }, async (page) => {
    await stopEnvoy();
    const away = async () => (await api("GET", "/proxies")).items[0]?.state === "offline";
    await until("the proxy is away", 20_000, away);
    await page.goto(address(`/meshes/${mesh}/authorities`));
    await begin(page, "root", (dialog) =>
      dialog
        .getByLabel("Steps are taken")
        .selectOption("manual")
        .then(() => {}),
    );
    await act(page, "Take the next step");
    await page.getByText("The next step waits for 1 proxy.").waitFor();
    await page.getByRole("row", { name: /hello-1 hello away in/ }).waitFor();
    expect(await page.getByRole("button", { name: "Take the next step" }).isDisabled()).toBe(true);
    await act(page, "Force the step", mesh);
    await expect.poll(() => state(page).textContent(), { timeout: 10_000 }).toBe("active");
    await act(page, "Turn round");
    await page.getByText("turned round", { exact: true }).first().waitFor();
    await page.getByText("What was there before signs again", { exact: false }).waitFor();
  });
  await withPage({ token: world.viewer }, async (page) => {
    await page.goto(address(`/meshes/${mesh}/authorities`));
    await page.getByText("lacks the permission meshes:write").waitFor();
    for (const verb of ["Force the step", "Take the next step", "Replace authorities"])
      for (const button of await page.getByRole("button", { name: verb }).all())
        expect(await button.isDisabled(), verb).toBe(true);
  });
}, 90_000);

test("an emergency wants the name of the mesh, and only a root breaks the trust", async () => {
  await withPage({ token: world.admin }, async (page) => {
    await page.goto(address(`/meshes/${world.mesh}/authorities`));
    await page.getByRole("button", { name: "Replace authorities" }).first().click();
    const dialog = page.getByRole("dialog");
    const how = dialog.getByLabel("How", { exact: true });
    const begin = dialog.getByRole("button", { name: "Begin" });
    expect(await how.locator("option").allTextContents()).toEqual(["planned", "emergency"]);
    expect(await begin.isDisabled()).toBe(false);
    await dialog.getByLabel("What", { exact: true }).selectOption("root");
    await how.selectOption("break_trust");
    expect(await begin.isDisabled()).toBe(true);
    await dialog.getByLabel(`Type ${world.mesh} to confirm`).fill(world.mesh);
    expect(await begin.isDisabled()).toBe(false);
    // What is no choice any more is not sent.
    await dialog.getByLabel("What", { exact: true }).selectOption("intermediate");
    expect(await how.inputValue()).toBe("planned");
    await dialog.getByRole("button", { name: "Cancel" }).click();
  });
});

test("a proxy and a service are revoked with a reason, listed, and come back when that is lifted", async () => {
  await withPage({ token: world.admin }, async (page) => {
    const dialog = page.getByRole("dialog");
    await page.goto(address(`/meshes/${mesh}/proxies`));
    await page.getByRole("link", { name: "hello-1" }).click();
    await page.getByRole("button", { name: "Revoke proxy" }).click();
    const confirm = dialog.getByRole("button", { name: "Revoke proxy" });
    expect(await confirm.isDisabled()).toBe(true);
    await dialog.getByLabel("Reason").fill("x".repeat(501));
    await confirm.click();
    await expect
      .poll(() => dialog.getByLabel("Reason").getAttribute("aria-invalid"), { timeout: 10_000 })
      .toBe("true");
    expect(await barriers(page)).toEqual([]);
    await dialog.getByLabel("Reason").fill("SEC-77: the host was broken into");
    await confirm.click();
    await page.getByText("It is revoked").waitFor();
    await page.getByText("SEC-77: the host was broken into", { exact: false }).waitFor();
    expect(await page.getByRole("button", { name: "Revoke proxy" }).count()).toBe(0);

    await page.getByRole("link", { name: "hello", exact: true }).click();
    await page.getByRole("button", { name: "Revoke service" }).click();
    await dialog.getByLabel("Reason").fill("SEC-78: its image was replaced");
    expect(await dialog.getByRole("button", { name: "Revoke service" }).isDisabled()).toBe(true);
    await dialog.getByLabel("Type hello to confirm").fill("hello");
    await dialog.getByRole("button", { name: "Revoke service" }).click();
    await page.getByText("It is revoked").waitFor();

    await goTo(page, "Revocations");
    const proxy = page.getByRole("row", { name: /SEC-77/ });
    const service = page.getByRole("row", { name: /SEC-78/ });
    await service.getByText("in force").waitFor();
    await proxy.getByText("proxy of hello").waitFor();
    expect(await barriers(page)).toEqual([]);
    for (const row of [proxy, service]) {
      await row.getByRole("button", { name: "Lift revocation" }).click();
      await dialog.getByRole("button", { name: "Lift revocation" }).click();
      await dialog.waitFor({ state: "detached" });
      await row.getByText("lifted", { exact: true }).waitFor();
    }
    const { items } = await api("GET", "/revocations");
    expect(items.map((one: { state: string }) => one.state)).toEqual(["lifted", "lifted"]);
    // The service may be revoked again, and its proxy as well.
    await page.goto(address(`/meshes/${mesh}/services/hello`));
    await page.getByRole("button", { name: "Revoke service" }).waitFor();
  });
});
