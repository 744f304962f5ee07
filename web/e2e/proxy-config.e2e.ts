// What an Envoy is told, next to where it comes from.
import { expect, test } from "vitest";
import { address, barriers, settled, startBrowser, withPage, world } from "./browser.ts";

startBrowser();

// The demo runs the newest Envoy; the oldest is asked for real by `sec_sc4_an_envoy_with_known_holes_is_flagged`.
test("known holes of a proxy's Envoy are said, with the release that has none of them", async () => {
  await withPage({ token: world.admin }, async (page) => {
    await page.route(/\/v1\/.*\/proxies(\/px_\w+)?(\?|$)/, async (route) => {
      const answer = await route.fetch();
      const body = await answer.json();
      for (const proxy of body.items ?? [body]) {
        proxy.envoy.version = "1.36.4";
        proxy.advisories = ["1.36.7", "1.36.11", "1.36.5"].map((fixed_in, n) => ({
          id: `CVE-2026-0000${n}`,
          severity: "high",
          summary: "Something can be done.",
          here: "Here it means this.",
          fixed_in,
        }));
      }
      await route.fulfill({ response: answer, json: body });
    });
    await page.goto(address(`/meshes/${world.mesh}/proxies`));
    await page.getByText("3 known holes").first().waitFor();
    await page.getByRole("row").nth(1).getByRole("link").first().click();
    await page.getByText("Envoy 1.36.4 has 3 known holes: upgrade to 1.36.11 or newer").waitFor();
    await page.getByText("Something can be done. Here it means this.").first().waitFor();
    expect(await barriers(page)).toEqual([]);
  });
});

test("a proxy's configuration is shown by kind, with version, state and origin, and an address for each part", async () => {
  await withPage({ token: world.admin }, async (page) => {
    await page.goto(address("/meshes/shop/proxies/payments-v1"));
    await page.getByRole("link", { name: "Effective configuration" }).click();
    const tabs = page.getByRole("navigation", { name: "Kinds of resources" });
    await tabs.waitFor();
    const shown = page.locator("main details");
    const names = await tabs.getByRole("button").allTextContents();
    expect(names.map((name) => name.replace(/\d+$/, ""))).toEqual([
      "Listeners",
      "Routes",
      "Clusters",
      "Endpoints",
      "Secrets",
    ]);
    for (const name of names) {
      await tabs.getByRole("button", { name: name.replace(/\d+$/, "") }).click();
      await expect.poll(() => shown.count()).toBe(Number(/\d+$/.exec(name)?.[0]));
      expect(await shown.count(), name).toBeGreaterThan(0);
    }
    await tabs.getByRole("button", { name: "Secrets" }).click();
    for (const secret of await shown.all()) await secret.locator("summary").click();
    await page.getByText("the proxy's own certificate").first().waitFor();
    expect(await page.locator("main").textContent()).not.toContain("PRIVATE KEY");

    await tabs.getByRole("button", { name: "Routes" }).click();
    await page.getByLabel("Find anything in it").fill("payments");
    const first = shown.first();
    await first.locator("summary").click();
    await first.getByText("Comes from").waitFor();
    await first.getByText("virtual_hosts:").waitFor();
    const origin = first.getByRole("link", { name: /^payments/ }).first();
    expect(await origin.getAttribute("href")).toContain("/meshes/shop/services/payments");

    await page.getByRole("button", { name: "JSON", exact: true }).click();
    await first.getByText('"virtual_hosts"').waitFor();
    for (const theme of ["light", "dark"]) {
      await page.evaluate((name) => {
        document.documentElement.dataset.theme = name;
      }, theme);
      expect(await barriers(page), theme).toEqual([]);
    }
    const link = page.url();
    expect(link).toContain("open=");
    await page.goto(link);
    await settled(page);
    await shown.first().getByText('"virtual_hosts"').waitFor();
    expect(await page.getByLabel("Find anything in it").inputValue()).toBe("payments");

    await page.getByLabel("Find anything in it").fill("no such thing");
    await page.getByText("No routes match").waitFor();
  });
});
