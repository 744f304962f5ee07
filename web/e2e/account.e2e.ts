// Signing in with a password: what the browser keeps, how a session is renewed, and how it ends, here and elsewhere.
import type { Page } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import { address, barriers, startBrowser, withPage, world } from "./browser.ts";
import { signIn } from "./screens.ts";
import { until } from "./until.ts";

startBrowser();

// A member of these tests' own: a changed password ends every other session.
const me = { email: "account@demo.example", password: "" };
beforeAll(async () => {
  const answer = await fetch(`${world.api}/v1/orgs/-/members`, {
    method: "POST",
    headers: { authorization: `Bearer ${world.admin}`, "content-type": "application/json" },
    body: JSON.stringify({ email: me.email, role: "viewer" }),
  });
  expect(answer.ok, await answer.clone().text()).toBe(true);
  me.password = (await answer.json()).initial_password;
});

interface Kept {
  uid: string;
  access: string;
  refresh: string;
  until: number;
}

const kept = (page: Page): Promise<Kept> =>
  page.evaluate(() => JSON.parse(sessionStorage.getItem("heddle.session") ?? "null"));

async function enter(page: Page) {
  await page.goto(address("/account"));
  await signIn(page, world.org, me.email, me.password);
  await page.getByRole("heading", { name: "Where you are signed in" }).waitFor();
}

const whoami = async (token: string) =>
  (await fetch(`${world.api}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } })).status;

test("sec_w06_a_session_is_in_this_tab_only_is_renewed_and_is_worth_nothing_once_signed_out", async () => {
  await withPage({}, async (page) => {
    await enter(page);
    const first = await kept(page);
    const elsewhere = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, document.cookie, location.href]),
    );
    for (const secret of [first.access, first.refresh, me.password]) expect(elsewhere).not.toContain(secret);
    expect(await page.evaluate(() => JSON.stringify({ ...sessionStorage }))).not.toContain(me.password);

    // The access token is about to end: the next request gets another one first, and only once for all requests.
    await page.evaluate(() => {
      const soon = JSON.parse(sessionStorage.getItem("heddle.session") ?? "null");
      sessionStorage.setItem("heddle.session", JSON.stringify({ ...soon, until: Date.now() + 1000 }));
    });
    const renewals: string[] = [];
    page.on("request", (request) => {
      if (request.url().endsWith("/v1/sessions/refreshes")) renewals.push(request.url());
    });
    await page.reload();
    await page.getByText("This one").waitFor();
    expect(renewals).toHaveLength(1);
    const second = await kept(page);
    expect(second.uid).toBe(first.uid);
    expect(second.refresh).not.toBe(first.refresh);
    expect(second.until).toBeGreaterThan(Date.now() + 300_000);

    // A tab with a copy of the session learns of the next renewal, so that no secret is used twice.
    const copy = await page.context().newPage();
    await copy.addInitScript((text) => {
      if (!sessionStorage.getItem("heddle.session")) sessionStorage.setItem("heddle.session", text);
    }, JSON.stringify(second));
    await copy.goto(address("/account"));
    await copy.getByText("This one").waitFor();
    await copy.evaluate(() => {
      const soon = JSON.parse(sessionStorage.getItem("heddle.session") ?? "null");
      sessionStorage.setItem("heddle.session", JSON.stringify({ ...soon, until: 0 }));
    });
    await copy.reload();
    await copy.getByText("This one").waitFor();
    const third = await kept(copy);
    expect(third.refresh).not.toBe(second.refresh);
    await until("the first tab has it", 5_000, async () => (await kept(page)).refresh === third.refresh);

    expect(await whoami(third.access)).toBe(200);
    await page.getByRole("button", { name: "Sign out", exact: true }).first().click();
    await page.getByRole("heading", { name: "Sign in to Heddle" }).waitFor();
    expect(await kept(page)).toBe(null);
    expect(await whoami(third.access)).toBe(401);
    const again = await fetch(`${world.api}/v1/sessions/refreshes`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ refresh_token: third.refresh }),
    });
    expect(again.status).toBe(401);
  });
});

test("a session on another device is seen and ended, and that device says why it is signed out", async () => {
  await withPage({}, async (other) => {
    await enter(other);
    const { uid } = await kept(other);
    await withPage({}, async (page) => {
      await enter(page);
      const mine = page.getByRole("row", { name: /This one/ });
      await mine.waitFor();
      await expect.poll(() => mine.getByRole("button").count(), { timeout: 10_000 }).toBe(0);
      // The newest but one is the other device's.
      const row = page.getByRole("row", { name: /Chrome on Linux.*End session/ }).first();
      await row.getByRole("button", { name: "End session" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "curl" }).click();
      const line = await page.getByRole("dialog").getByRole("region", { name: "curl" }).textContent();
      expect(line).toContain(uid);
      await page.getByRole("dialog").getByRole("button", { name: "End session" }).click();
      await page.getByText("Session ended").waitFor();
    });
    await other.reload();
    await other.getByRole("heading", { name: "Sign in to Heddle" }).waitFor();
    await other.getByText("was ended elsewhere", { exact: false }).waitFor();
  });
});

test("the password is changed by who knows it", async () => {
  await withPage({}, async (page) => {
    await enter(page);
    await page.getByLabel("Password now").fill("not the password");
    await page.getByLabel("New password").fill("short");
    await page.getByRole("button", { name: "Change password" }).click();
    await page.getByText("What is wrong is marked below.").waitFor();
    expect(await page.getByLabel("New password").getAttribute("aria-invalid")).toBe("true");
    await page.getByLabel("New password").fill("long enough to be one");
    await page.getByRole("button", { name: "Change password" }).click();
    await page.getByText("This is not the password", { exact: false }).waitFor();
    await page.getByLabel("Password now").fill(me.password);
    await page.getByRole("button", { name: "Change password" }).click();
    await page.getByText("Password changed").waitFor();
    await page.getByRole("button", { name: "Sign out", exact: true }).first().click();
    await signIn(page, world.org, me.email, "long enough to be one");
    await page.getByRole("heading", { name: "Meshes" }).waitFor();
  });
});

test("a device without a browser is let in by its code, or not", async () => {
  const post = async (path: string, body: unknown) => {
    const answer = await fetch(`${world.api}/v1/device-authorizations${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: await answer.json() };
  };
  const ask = async () => (await post("", { client: "heddle on build-7", scopes: ["meshes:read"] })).body;
  const password = "long enough to be one";
  await withPage({}, async (page) => {
    const first = await ask();
    await page.goto(first.verification_uri_complete);
    await signIn(page, world.org, me.email, password);
    await page.getByText("heddle on build-7").waitFor();
    await page.getByText("meshes:read").waitFor();
    for (const theme of ["light", "dark"]) {
      await page.evaluate((name) => {
        document.documentElement.dataset.theme = name;
      }, theme);
      expect(await barriers(page), theme).toEqual([]);
    }
    await page.getByRole("button", { name: "Let it in", exact: true }).click();
    await page.getByText("It is let in").waitFor();
    const letIn = await post("/tokens", { device_code: first.device_code });
    expect(letIn.status).toBe(201);
    expect(await whoami(letIn.body.access_token)).toBe(200);

    const second = await ask();
    await page.goto(address("/device"));
    await page.getByLabel("Code").fill("BCDF-GHJK");
    await page.getByRole("button", { name: "Look up" }).click();
    await page.getByText("There is no such code").waitFor();
    await page.getByLabel("Code").fill(second.user_code.toLowerCase());
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Do not let it in" }).click();
    await page.getByText("It is not let in").waitFor();
    const refused = await post("/tokens", { device_code: second.device_code });
    expect([refused.status, refused.body.error]).toEqual([400, "access_denied"]);

    // It is listed where one is signed in, and ended there.
    await page.goto(address("/account"));
    const row = page.getByRole("row", { name: /heddle on build-7/ });
    await row.getByRole("button", { name: "End session" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End session" }).click();
    await row.waitFor({ state: "detached" });
    expect(await whoami(letIn.body.access_token)).toBe(401);
  });
});
