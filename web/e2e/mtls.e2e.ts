// How a service is called is shown on its page, set in its settings, and refused where callers would stumble.
import { expect, test } from "vitest";
import { address, startBrowser, withPage, world } from "./browser.ts";

startBrowser();

test("a service goes from mutual TLS to plain text by permissive, and the page says where it is", async () => {
  const put = async (path: string, body: unknown) => {
    const answer = await fetch(`${world.api}/v1/orgs/-/meshes/${path}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${world.admin}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    expect(answer.ok, await answer.clone().text()).toBe(true);
  };
  const ports = [
    { name: "http", port: 80, protocol: "http" },
    { name: "admin", port: 81, protocol: "http", mtls: "strict" },
  ];
  await put("modes", {});
  await put("modes/services/moving", { ports });
  await withPage({ token: world.admin }, async (page) => {
    const set = async (mode: string) => {
      await page.goto(address("/meshes/modes/services/moving/settings"));
      await page.getByLabel("Mutual TLS", { exact: true }).selectOption(mode);
      await page.getByRole("button", { name: "Save" }).click();
    };
    const shows = async (mode: RegExp) => {
      await page.goto(address("/meshes/modes/services/moving"));
      await page.getByText("Mutual TLS", { exact: true }).waitFor();
      const facts = await page.locator("dl").first().textContent();
      expect(facts?.replaceAll(/\s+/g, " ")).toMatch(mode);
    };
    await shows(/http: strict Heddle's defaultadmin: strict the port says so/);

    await set("off");
    await page.getByText("make it `permissive` first", { exact: false }).waitFor();
    await set("permissive");
    await page.getByText("Saved").waitFor();
    await shows(/http: permissive the service says so/);
    await set("off");
    await page.getByText("Saved").waitFor();
    await shows(/http: off the service says so/);

    // The revision says what became of it.
    await page.goto(address("/meshes/modes/history"));
    await page.getByRole("link", { name: "4" }).first().click();
    await page.getByText("mtls", { exact: true }).waitFor();

    // The mesh says it for those that say nothing.
    await page.goto(address("/meshes/modes/settings"));
    await page.getByLabel("Mutual TLS", { exact: true }).selectOption("permissive");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved").waitFor();
    await put("modes/services/still", { ports: ports.slice(0, 1) });
    await page.goto(address("/meshes/modes/services/still"));
    await page.getByText("the mesh says so").waitFor();
  });
});
