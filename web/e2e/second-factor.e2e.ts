// A second factor: set up in the browser with what a real authenticator would compute, asked for at sign-in, and required of everybody.
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { address, barriers, startBrowser, withPage, world } from "./browser.ts";
import { signIn } from "./screens.ts";

startBrowser();

const ORG = "marked";

/** A code of RFC 6238, so many half minutes after now. */
function code(key: string, steps = 0): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...key.replace(/\s/g, "")]
    .map((one) => letters.indexOf(one).toString(2).padStart(5, "0"))
    .join("");
  const bytes = (bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const digest = createHmac("sha1", Buffer.from(bytes)).update(time).digest();
  const start = (digest.at(-1) ?? 0) & 15;
  return String((digest.readUInt32BE(start) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

async function member(email: string): Promise<string> {
  const answer = await fetch(`${world.api}/v1/orgs/-/members`, {
    method: "POST",
    headers: { authorization: `Bearer ${world.marked}`, "content-type": "application/json" },
    body: JSON.stringify({ email, role: "owner" }),
  });
  expect(answer.ok, await answer.clone().text()).toBe(true);
  return (await answer.json()).initial_password;
}

/** From the key on: what an authenticator takes, a code of it, and what is shown once. */
async function enrol(page: Page): Promise<{ key: string; codes: string[] }> {
  const key = (await page.getByRole("region", { name: "key", exact: true }).textContent()) ?? "";
  await page.getByRole("img", { name: "The key as a QR code" }).waitFor();
  await page.getByLabel("Code", { exact: true }).fill("000000");
  await page.getByRole("button", { name: "Confirm" }).click();
  await page.getByText("This is not a code of the second factor", { exact: false }).waitFor();
  await page.getByLabel("Code", { exact: true }).fill(code(key));
  await page.getByRole("button", { name: "Confirm" }).click();
  const shown = page.getByRole("region", { name: "recovery codes" });
  const codes = ((await shown.textContent()) ?? "").split("\n");
  expect(codes).toHaveLength(10);
  return { key, codes };
}

test("sec_a18_a_second_factor_is_set_up_and_asked_for_at_sign_in", async () => {
  const email = "guard@marked.example";
  const password = await member(email);
  await withPage({}, async (page) => {
    await page.goto(address("/account"));
    await signIn(page, ORG, email, password);
    await page.getByRole("button", { name: "Set up a second factor" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Set it up" }).click();
    const { key, codes } = await enrol(page);
    const [file] = await Promise.all([
      page.waitForEvent("download"),
      dialog.getByRole("button", { name: "Download" }).click(),
    ]);
    expect(readFileSync(await file.path(), "utf8")).toBe(`${codes.join("\n")}\n`);
    await dialog.getByRole("button", { name: "I have kept them" }).click();
    await page.getByText("10 recovery codes are left").waitFor();
    expect(await page.content()).not.toContain(key);
    expect(await barriers(page)).toEqual([]);

    await page.getByRole("button", { name: "Sign out", exact: true }).first().click();
    await signIn(page, ORG, email, password);
    await page.getByLabel("Code", { exact: true }).fill("000000");
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByText("That is not the code").waitFor();
    expect(await barriers(page)).toEqual([]);
    await page.getByLabel("Code", { exact: true }).fill(code(key, 1));
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Meshes" }).waitFor();

    // By a recovery code, as it was written down; and then without it.
    await page.getByRole("button", { name: "Sign out", exact: true }).first().click();
    await signIn(page, ORG, email, password);
    await page.getByLabel("Code", { exact: true }).fill((codes[0] ?? "").toLowerCase());
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByRole("heading", { name: "Meshes" }).waitFor();
    await page.goto(address("/account"));
    await page.getByText("9 recovery codes are left").waitFor();
    await page.getByRole("button", { name: "Remove", exact: true }).click();
    await dialog.getByLabel("Code").fill(codes[1] ?? "");
    await dialog.getByRole("button", { name: "Remove" }).click();
    await page.getByText("Whoever knows your password can sign in as you").waitFor();
  });
});

test("sec_a19_who_lacks_the_second_factor_that_is_required_can_do_nothing_else", async () => {
  const [chief, other] = ["chief@marked.example", "other@marked.example"];
  const passwords = [await member(chief), await member(other)] as const;
  await withPage({}, async (page) => {
    const dialog = page.getByRole("dialog");
    await page.goto(address("/members"));
    await signIn(page, ORG, chief, passwords[0]);
    // Nobody requires what they do not have.
    await page.getByRole("button", { name: "Require it" }).click();
    await dialog.getByRole("button", { name: "Require it" }).click();
    await dialog.getByText("HED-2094").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await page.goto(address("/account"));
    await page.getByRole("button", { name: "Set up a second factor" }).click();
    await dialog.getByRole("button", { name: "Set it up" }).click();
    await enrol(page);
    await dialog.getByRole("button", { name: "I have kept them" }).click();
    await page.goto(address("/members"));
    await page.getByRole("button", { name: "Require it" }).click();
    await dialog.getByRole("button", { name: "Require it" }).click();
    await page.getByRole("button", { name: "Do not require it" }).waitFor();

    await withPage({}, async (theirs) => {
      await theirs.goto(address("/members"));
      await signIn(theirs, ORG, other, passwords[1]);
      await theirs.getByRole("heading", { name: "Set up a second factor" }).waitFor();
      expect(await theirs.getByRole("navigation").count()).toBe(0);
      expect(await barriers(theirs)).toEqual([]);
      await theirs.getByRole("button", { name: "Set it up" }).click();
      await enrol(theirs);
      await theirs.getByRole("button", { name: "I have kept them" }).click();
      await theirs.getByRole("heading", { name: "Members" }).waitFor();
    });

    await page.reload();
    const row = page.getByRole("row", { name: /other@marked.example/ });
    await row.getByText("Second factor", { exact: true }).waitFor();
    await row.getByRole("button", { name: "Reset second factor" }).click();
    await dialog.getByRole("button", { name: "Reset second factor" }).click();
    await row.getByText("Second factor", { exact: true }).waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Do not require it" }).click();
    await dialog.getByRole("button", { name: "Do not require it" }).click();
    await page.getByText("A second factor is optional").waitFor();
  });
});
