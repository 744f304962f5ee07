// What happens in a mesh is on the screen at once, also when somebody else does it.
import { expect, test } from "vitest";
import { address, startBrowser, withPage, world } from "./browser.ts";

startBrowser();

test("what somebody else changes appears by itself, and a form is left as it is", async () => {
  const put = async (path: string, body: unknown) => {
    const answer = await fetch(`${world.api}/v1/orgs/-/meshes/${path}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${world.admin}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    expect(answer.ok, await answer.clone().text()).toBe(true);
  };
  const ports = [{ name: "http", port: 80, protocol: "http" }];
  await put("lively", {});
  await put("lively/services/first", { ports });
  await withPage({ token: world.viewer }, async (page) => {
    const stream = page.waitForResponse((response) => response.url().endsWith("/meshes/lively/events"));
    await page.goto(address("/meshes/lively/services"));
    expect((await stream).headers()["content-type"]).toContain("text/event-stream");
    await page.getByRole("link", { name: "first" }).waitFor();
    // Without the stream it would be asked for after half a minute.
    await put("lively/services/second", { ports });
    await page.getByRole("link", { name: "second" }).waitFor({ timeout: 3_000 });
  });
  await withPage({ token: world.admin }, async (page) => {
    const stream = page.waitForResponse((response) => response.url().endsWith("/meshes/lively/events"));
    await page.goto(address("/meshes/lively/services/first/settings"));
    await stream;
    await page.getByLabel("Display name").fill("Half-written");
    await put("lively/services/first", { ports, display_name: "Somebody else's" });
    // What the form asks for is not asked for again, and says so when it is sent.
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Somebody changed this in the meantime", { exact: false }).waitFor();
    expect(await page.getByLabel("Display name").inputValue()).toBe("Half-written");
  });
});
