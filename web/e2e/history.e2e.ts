// History: what was done is found again, with who did it and why, and any two revisions can be compared.
import { expect, test } from "vitest";
import { address, barriers, startBrowser, withPage, world } from "./browser.ts";

startBrowser();

const mesh = "chronicle";

async function write(method: string, path: string, body: unknown, message: string, group?: string) {
  const answer = await fetch(`${world.api}/v1/orgs/-/meshes/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${world.admin}`,
      "content-type": "application/json",
      "heddle-message": message,
      "user-agent": "terraform/1.9",
      ...(group ? { "heddle-change-group": group } : {}),
    },
    body: JSON.stringify(body),
  });
  expect(answer.ok, await answer.clone().text()).toBe(true);
}

test("what was changed is read, compared and looked at as it was", async () => {
  const pay = `${mesh}/services/pay`;
  const ports = [{ name: "http", port: 80, protocol: "http" }];
  await write("PUT", mesh, {}, "A mesh for the books");
  await write("PUT", pay, { ports, defaults: { timeout: "5s" } }, "The first service", "run-1");
  await write("PUT", `${pay}/routes/all`, { priority: 1, backends: [{ version: "v1" }] }, "", "run-1");
  const weights = (v2: number) => ({
    weights: [
      { version: "v1", weight: 100 - v2 },
      { version: "v2", weight: v2 },
    ],
  });
  await write("PUT", `${pay}/routes/all/split`, weights(10), "Try v2");
  await write("PUT", `${pay}/routes/all/split`, weights(40), "v2 looks good");
  await write("PUT", pay, { ports, defaults: { timeout: "2s" } }, "Nobody waits for five seconds");
  await withPage({ token: world.viewer }, async (page) => {
    await page.goto(address(`/meshes/${mesh}`));
    await page.getByRole("link", { name: "History" }).click();
    const newest = page.getByRole("row", { name: /Nobody waits for five seconds/ });
    await newest.getByText("1 changed").waitFor();
    await newest.getByRole("link", { name: "6" }).click();
    await page.getByText("defaults › timeout").waitFor();
    await page.getByText("5s", { exact: true }).waitFor();
    await page.getByText("2s", { exact: true }).waitFor();
    await page.getByText("terraform/1.9").waitFor();

    // Back one: a split, as shares.
    await page.getByRole("link", { name: "The revision before" }).click();
    await page.getByRole("heading", { name: "Revision 5" }).waitFor();
    await page.getByText("40%").waitFor();

    // Against any other, in either direction; the address says it all.
    await page.getByLabel("Compare with revision").fill("2");
    await page.getByRole("button", { name: "Compare" }).click();
    await page.getByRole("heading", { name: /From revision 2 to 5/ }).waitFor();
    expect(new URL(page.url()).search).toBe("?from=2");
    await page.getByText("2 added").waitFor();
    await page.reload();
    await page.getByText("2 added").waitFor();
    await page.getByLabel("Compare with revision").fill("6");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /From revision 6 to 5/ }).waitFor();
    await page.getByText("defaults › timeout").waitFor();
    await page.getByLabel("Compare with revision").fill("many");
    await expect
      .poll(() => page.getByRole("button", { name: "Compare" }).isDisabled(), { timeout: 10_000 })
      .toBe(true);

    // Everything as it was then.
    await page.getByRole("link", { name: "The whole mesh then" }).click();
    await page.getByText("service pay", { exact: true }).click();
    await page.getByRole("region", { name: "service pay as YAML" }).getByText('timeout: "5s"').waitFor();
    await page.getByLabel("Find an object").fill("split");
    await expect.poll(() => page.locator("main details").count(), { timeout: 10_000 }).toBe(1);

    // One change group, and two chosen revisions.
    await page.getByRole("link", { name: "History", exact: true }).first().click();
    await page.getByRole("button", { name: "run-1" }).first().click();
    await page.getByRole("button", { name: "Show all" }).waitFor();
    await expect.poll(() => page.getByRole("row").count(), { timeout: 10_000 }).toBe(3);
    await page.getByLabel("Compare from revision 2").check();
    await page.getByLabel("Compare to revision 3").check();
    await page.getByRole("link", { name: "Compare 2 with 3" }).click();
    await page.getByRole("heading", { name: "Revision 3" }).waitFor();
    await page.getByRole("link", { name: "pay / all" }).click();
    await page.getByRole("heading", { level: 1, name: "all" }).waitFor();
    await page.goto(address(`/meshes/${mesh}/history/4`));
    await page.getByText("lacks the permission config:write").waitFor();
    await expect
      .poll(() => page.getByRole("button", { name: "Roll back to it" }).isDisabled(), { timeout: 10_000 })
      .toBe(true);
  });
  const timeout = async () => {
    const answer = await fetch(`${world.api}/v1/orgs/-/meshes/${pay}`, {
      headers: { authorization: `Bearer ${world.admin}` },
    });
    return (await answer.json()).defaults.timeout;
  };
  await withPage({ token: world.admin }, async (page) => {
    const dialog = page.getByRole("dialog");
    // What was changed again since is not taken back behind anybody's back.
    await page.goto(address(`/meshes/${mesh}/history/4`));
    await page.getByRole("button", { name: "Take back" }).click();
    await dialog.getByText("HED-2018").waitFor();
    await page.keyboard.press("Escape");

    // Rolled back: first what it would change.
    await page.getByRole("button", { name: "Roll back to it" }).click();
    await dialog.getByText("2 changed").waitFor();
    await dialog.getByText("defaults › timeout").waitFor();
    expect(await barriers(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Leave it" }).click();
    expect(await timeout()).toBe("2s");
    await page.getByRole("button", { name: "Roll back to it" }).click();
    await dialog.getByLabel("Why").fill("v2 answers with errors");
    await dialog.getByRole("button", { name: "Roll back", exact: true }).click();
    await page.getByRole("heading", { name: "Revision 7" }).waitFor();
    await page.getByText("v2 answers with errors").waitFor();
    expect(await timeout()).toBe("5s");

    // And taken back in turn.
    await page.getByRole("button", { name: "Take back" }).click();
    await dialog.getByRole("button", { name: "Take back", exact: true }).click();
    await page.getByRole("heading", { name: "Revision 8" }).waitFor();
    await page.getByText("Took back revision 7").waitFor();
    expect(await timeout()).toBe("2s");
  });
});
