// People, programs, roles and tokens: made in the browser, and tried against the API.
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { address, startBrowser, withPage, world } from "./browser.ts";
import { signIn } from "./screens.ts";

startBrowser();

async function status(token: string, path = "whoami", method = "GET"): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`${world.api}/v1/${path}`, { method, headers })).status;
}

/** What is shown once; then it is gone. */
async function secretOnce(page: Page, what: "secret" | "password"): Promise<string> {
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: `Copy ${what}` }).click();
  await dialog.getByRole("button", { name: "Copied", exact: true }).waitFor();
  const secret = (await dialog.getByRole("region", { name: what }).textContent()) ?? "";
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(secret);
  await dialog.getByRole("button", { name: "I have copied it" }).click();
  await dialog.waitFor({ state: "detached" });
  expect(await page.content()).not.toContain(secret);
  return secret;
}

test("a program gets a role and a token, which is rotated and revoked", async () => {
  await withPage({ token: world.admin }, async (page) => {
    const dialog = page.getByRole("dialog");
    await page.goto(address("/service-accounts"));
    await page.getByRole("button", { name: "Add service account" }).click();
    await dialog.getByLabel("Name").fill("Not A Name");
    await dialog.getByRole("button", { name: "Add service account" }).click();
    await dialog.getByText("What is wrong is marked below.").waitFor();
    await dialog.getByLabel("Name").fill("pipeline");
    await dialog.getByRole("button", { name: "Add service account" }).click();
    await page.getByRole("row", { name: /pipeline none/ }).waitFor();

    await page.getByRole("link", { name: "Roles" }).click();
    await page.getByRole("button", { name: "Give a role" }).click();
    await dialog.getByLabel("To").selectOption("s pipeline");
    await dialog.getByLabel("Role").selectOption("developer");
    await dialog.getByLabel("Where").selectOption("shop");
    await dialog.getByRole("button", { name: "Give role" }).click();
    await page.getByRole("row", { name: /pipeline.*developer shop/ }).waitFor();

    await page.getByRole("link", { name: "API tokens" }).click();
    await page.getByRole("button", { name: "New token" }).click();
    await dialog.getByLabel("Name").fill("pipeline-1");
    await dialog.getByLabel("For").selectOption("pipeline");
    await dialog.getByLabel("May").selectOption("some");
    await expect
      .poll(() => dialog.getByRole("button", { name: "Make token" }).isDisabled(), { timeout: 10_000 })
      .toBe(true);
    await dialog.getByLabel("config:read").check();
    await dialog.getByLabel("meshes:read").check();
    await dialog.getByRole("button", { name: "Make token" }).click();
    const first = await secretOnce(page, "secret");
    expect(await status(first, "orgs/-/meshes/shop/services")).toBe(200);
    expect(await status(first, "orgs/-/meshes/shop/services/frontend", "DELETE")).toBe(403);
    const row = page.getByRole("row", { name: /pipeline-1/ });
    await row.getByText("2 permissions").waitFor();

    await row.getByRole("button", { name: "Rotate" }).click();
    await dialog.getByLabel("The secret before works for another").selectOption("0s");
    await dialog.getByRole("button", { name: "Make a new secret" }).click();
    const second = await secretOnce(page, "secret");
    expect([await status(first), await status(second)]).toEqual([401, 200]);

    await row.getByRole("button", { name: "Revoke token" }).click();
    await dialog.getByRole("button", { name: "Revoke token" }).click();
    await row.waitFor({ state: "detached" });
    expect(await status(second)).toBe(401);

    // By keyboard: Escape closes what was opened, and nothing was made.
    await page.getByRole("button", { name: "New token" }).press("Enter");
    await dialog.getByLabel("Name").fill("pipeline-2");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await expect
      .poll(() => page.getByRole("row", { name: /pipeline-2/ }).count(), { timeout: 10_000 })
      .toBe(0);
  });
});

test("a member is added, signs in, gets a new password, and is removed", async () => {
  const email = "grace@demo.example";
  await withPage({ token: world.admin }, async (page) => {
    const dialog = page.getByRole("dialog");
    const row = page.getByRole("row", { name: /Grace/ });
    await page.goto(address("/members"));
    await page.getByRole("button", { name: "Add member" }).click();
    await dialog.getByLabel("E-mail address").fill(email);
    await dialog.getByLabel("Name", { exact: true }).fill("Grace");
    await dialog.getByLabel("Role").selectOption("viewer");
    await dialog.getByRole("button", { name: "Add member" }).click();
    const first = await secretOnce(page, "password");
    await row.getByText("viewer").waitFor();
    await withPage({}, async (hers) => {
      await hers.goto(address("/tokens"));
      await signIn(hers, world.org, email, first);
      await hers.getByText("No API tokens").waitFor();
      await hers.getByRole("link", { name: "Members" }).click();
      await hers.getByText("You may not see this").waitFor();

      await row.getByRole("button", { name: "New password" }).click();
      await dialog.getByRole("button", { name: "Make a new password" }).click();
      const second = await secretOnce(page, "password");
      await hers.reload();
      await hers.getByText("You were signed out", { exact: false }).waitFor();
      await signIn(hers, world.org, email, first);
      await hers.getByText("the password is wrong", { exact: false }).waitFor();
      await signIn(hers, world.org, email, second);
      await hers.getByText("You may not see this").waitFor();

      await row.getByRole("button", { name: "Remove member" }).click();
      await dialog.getByLabel(`Type ${email} to confirm`).fill(email);
      await dialog.getByRole("button", { name: "Remove member" }).click();
      await row.waitFor({ state: "detached" });
      await hers.reload();
      await hers.getByText("You were signed out", { exact: false }).waitFor();
    });
  });
});

test("every setting in force says who set it", async () => {
  await withPage({ token: world.admin }, async (page) => {
    const put = async (path: string, body: unknown) => {
      const answer = await fetch(`${world.api}/v1/orgs/-/meshes/${path}`, {
        method: "PUT",
        headers: { authorization: `Bearer ${world.admin}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      expect(answer.ok, await answer.clone().text()).toBe(true);
    };
    await put("levels", { defaults: { timeout: "9s" } });
    await put("levels/services/a", {
      ports: [{ name: "http", port: 80, protocol: "http" }],
      defaults: { retries: { attempts: 7 } },
    });
    await put("levels/services/a/routes/slow", {
      priority: 1,
      backends: [{ service: "a" }],
      settings: { timeout: "33s" },
    });
    await page.goto(address("/meshes/levels/services/a"));
    await page.getByRole("row", { name: /timeout 9s mesh levels revision 1/ }).waitFor();
    await page.getByRole("row", { name: /retries › attempts 7 service a revision 2/ }).waitFor();
    await page.getByRole("link", { name: "slow", exact: true }).click();
    await page.getByRole("row", { name: /timeout 33s route slow revision 3/ }).waitFor();
    await page.getByRole("row", { name: /retries › attempts 7 service a/ }).waitFor();
    await page.getByRole("link", { name: "revision 3" }).first().click();
    await page.getByRole("heading", { name: "Revision 3" }).waitFor();
  });
});
