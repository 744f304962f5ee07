// Links that come by mail: to set another password, and to become a member. The mail is read where the server puts it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { address, barriers, startBrowser, withPage, world } from "./browser.ts";
import { signIn } from "./screens.ts";
import { until } from "./until.ts";

startBrowser();

/** The links in the mails to somebody, oldest first. */
function linksTo(email: string): string[] {
  if (!existsSync(world.mail)) return [];
  const files = readdirSync(world.mail).filter((name) => name.endsWith(".eml"));
  return files
    .sort()
    .map((name) => readFileSync(join(world.mail, name), "utf8"))
    .filter((text) => text.includes(`\r\nTo: ${email}\r\n`) || text.startsWith(`To: ${email}\r\n`))
    .map((text) => /^http.*$/m.exec(text)?.[0].trim() ?? "");
}

async function link(email: string, number = 1): Promise<string> {
  await until(`mail ${number} to ${email}`, 20_000, () => linksTo(email).length >= number);
  return linksTo(email)[number - 1] ?? "";
}

const secretOf = (url: string) => new URL(url).hash.slice(1);

async function accessible(page: Page) {
  for (const theme of ["light", "dark"]) {
    await page.evaluate((name) => {
      document.documentElement.dataset.theme = name;
    }, theme);
    expect(await barriers(page), theme).toEqual([]);
  }
}

/** Nothing of a secret stays where the next one at this machine finds it. */
async function leavesNothing(page: Page, secret: string) {
  expect(secret).toMatch(/^heddle_/);
  const kept = await page.evaluate(() =>
    JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]),
  );
  expect(kept).not.toContain(secret);
}

async function member(email: string) {
  const answer = await fetch(`${world.api}/v1/orgs/-/members`, {
    method: "POST",
    headers: { authorization: `Bearer ${world.admin}`, "content-type": "application/json" },
    body: JSON.stringify({ email, role: "viewer" }),
  });
  expect(answer.ok, await answer.clone().text()).toBe(true);
}

test("sec_w10_who_has_forgotten_the_password_sets_another_one_by_a_link_once", async () => {
  const email = "forgetful@demo.example";
  const password = "long enough to be one";
  await member(email);
  await withPage({}, async (page) => {
    const asked: string[] = [];
    page.on("request", (request) => asked.push(`${request.url()} ${request.headers().referer ?? ""}`));
    await page.goto(address("/sign-in"));
    await page.getByLabel("Organisation").fill(world.org);
    await page.getByRole("link", { name: "Forgot password?" }).press("Enter");
    await page.getByRole("heading", { name: "Forgot your password?" }).waitFor();
    // By keyboard from here on.
    await page.getByLabel("Organisation").focus();
    await page.keyboard.type(world.org);
    await page.keyboard.press("Tab");
    await page.keyboard.type(email);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Look into your mail" }).waitFor();
    await accessible(page);

    const url = await link(email);
    expect(url.startsWith(`${address("/reset-password")}?org=${world.org}#heddle_rst_`)).toBe(true);
    const secret = secretOf(url);
    await page.goto(url);
    await page.getByRole("heading", { name: "Set another password" }).waitFor();
    await leavesNothing(page, secret);
    await accessible(page);
    await page.keyboard.type("short");
    await page.keyboard.press("Enter");
    await page.getByText("What is wrong is marked below.").waitFor();
    const field = page.getByLabel("New password");
    expect(await field.getAttribute("aria-invalid")).toBe("true");
    await field.fill(password);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Your password is set" }).waitFor();
    await accessible(page);
    await leavesNothing(page, secret);
    await page.getByRole("link", { name: "Sign in" }).click();
    await signIn(page, world.org, email, password);
    await page.getByRole("heading", { name: "Meshes" }).waitFor();

    // The link again: also for who is signed in it is worth nothing.
    await page.goto(url);
    await field.fill(password);
    await page.getByRole("button", { name: "Set password" }).click();
    await page.getByRole("heading", { name: "This link cannot be used" }).waitFor();
    await accessible(page);
    await page.getByRole("link", { name: "Back to the sign-in" }).waitFor();
    // A link in the same tab begins anew, and leaves as little.
    await page.goto(`${new URL(url).origin}${new URL(url).pathname}?org=${world.org}#heddle_rst_another`);
    await field.waitFor();
    expect(await field.inputValue()).toBe("");
    await leavesNothing(page, "heddle_rst_another");
    expect(asked.filter((one) => one.includes(secret))).toEqual([]);
  });
});

test("nobody learns from the page who is a member", async () => {
  const texts: string[] = [];
  for (const email of ["nobody-at-all@demo.example", world.member.email])
    await withPage({}, async (page) => {
      await page.goto(address("/forgot-password"));
      await page.getByLabel("Organisation").fill(world.org);
      await page.getByLabel("E-mail address").fill(email);
      await page.getByRole("button", { name: "Send the link" }).click();
      await page.getByRole("heading", { name: "Look into your mail" }).waitFor();
      texts.push(((await page.locator("main").textContent()) ?? "").replaceAll(email, "…"));
    });
  expect(texts[0]).toBe(texts[1]);
});

test("sec_w10_somebody_is_invited_and_becomes_a_member", async () => {
  const email = "invited@demo.example";
  const password = "long enough to be one";
  await withPage({ token: world.admin }, async (page) => {
    const dialog = page.getByRole("dialog");
    const row = page.getByRole("row", { name: email });
    await page.goto(address("/members"));
    await page.getByText("Nobody is invited and has not answered yet.").waitFor();
    await page.getByRole("button", { name: "Invite" }).press("Enter");
    await page.keyboard.type("not an address");
    await page.keyboard.press("Enter");
    await dialog.getByText("What is wrong is marked below.").waitFor();
    await dialog.getByLabel("E-mail address").fill(email);
    await dialog.getByLabel("Role").selectOption("developer");
    await accessible(page);
    await dialog.getByLabel("E-mail address").press("Enter");
    await dialog.waitFor({ state: "detached" });
    await row.getByText("developer").waitFor();
    await accessible(page);
    // Once more to the same address.
    await page.getByRole("button", { name: "Invite" }).click();
    await dialog.getByLabel("E-mail address").fill(email);
    await dialog.getByRole("button", { name: "Send invitation" }).click();
    await dialog.getByText("HED-2082").waitFor();
    await page.keyboard.press("Escape");

    const first = await link(email);
    await row.getByRole("button", { name: "Send again" }).click();
    await dialog.getByRole("button", { name: "Send again" }).click();
    await dialog.waitFor({ state: "detached" });
    const second = await link(email, 2);
    await withPage({}, async (hers) => {
      await hers.goto(first);
      await hers.getByRole("heading", { name: "This invitation cannot be used" }).waitFor();
      await accessible(hers);
      const signInstead = hers.getByRole("link", { name: "Sign in" });
      expect(await signInstead.getAttribute("href")).toBe(new URL(address("/sign-in")).pathname);
      // The newer one in the same tab: the browser loads nothing for it.
      await hers.goto(second);
      await hers.getByText("developer: Changes services").waitFor();
      await hers.getByText(email).waitFor();
      await leavesNothing(hers, secretOf(second));
      await accessible(hers);
      await hers.getByLabel("Name").focus();
      await hers.keyboard.type("Ivy");
      await hers.keyboard.press("Tab");
      await hers.keyboard.type("short");
      await hers.keyboard.press("Enter");
      await hers.getByText("What is wrong is marked below.").waitFor();
      await hers.getByLabel("Password").fill(password);
      await hers.keyboard.press("Enter");
      await hers.getByRole("heading", { name: `Welcome to ${world.org}` }).waitFor();
      await accessible(hers);
      await hers.getByRole("link", { name: "Sign in" }).click();
      await signIn(hers, world.org, email, password);
      await hers.getByRole("heading", { name: "Meshes" }).waitFor();
    });
    await page.reload();
    await page.getByRole("row", { name: /Ivy.*developer/ }).waitFor();
    await page.getByText("Nobody is invited and has not answered yet.").waitFor();
  });
});

test("sec_w10_a_withdrawn_invitation_leads_to_nothing", async () => {
  const email = "unwanted@demo.example";
  await withPage({ token: world.admin }, async (page) => {
    const dialog = page.getByRole("dialog");
    const row = page.getByRole("row", { name: email });
    await page.goto(address("/members"));
    await page.getByRole("button", { name: "Invite" }).click();
    await dialog.getByLabel("E-mail address").fill(email);
    await dialog.getByRole("button", { name: "Send invitation" }).click();
    const url = await link(email);
    await withPage({}, async (theirs) => {
      await theirs.goto(url);
      await theirs.getByLabel("Password").fill("long enough to be one");
      await row.getByRole("button", { name: "Withdraw invitation" }).click();
      await dialog.getByRole("button", { name: "Withdraw invitation" }).click();
      await row.waitFor({ state: "detached" });
      await theirs.getByRole("button", { name: "Join" }).click();
      await theirs.getByRole("heading", { name: "This invitation cannot be used" }).waitFor();
    });
  });
});
