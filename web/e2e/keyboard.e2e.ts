// What the keyboard does beyond what every link and field does by itself.
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { address, barriers, settled, startBrowser, withPage, world } from "./browser.ts";

startBrowser();

const path = (page: Page) => new URL(page.url()).pathname.replace(/^\/console/, "");

async function at(page: Page, where: string) {
  await page.goto(address(where));
  await settled(page);
}

test("the palette finds a service, a proxy by its address, a page and a revision, by keys alone", async () => {
  await withPage({ token: world.admin }, async (page) => {
    await at(page, "/meshes/shop");
    const field = page.getByRole("combobox", { name: "Find" });
    const option = (name: string) => page.getByRole("option", { name });
    const jump = async (text: string, found: string, to: RegExp) => {
      await page.keyboard.press("Control+k");
      await field.fill(text);
      await option(found).first().waitFor();
      expect(await barriers(page), text).toEqual([]);
      while ((await option(found).first().getAttribute("aria-selected")) !== "true")
        await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await page.waitForURL(to);
      expect(await field.count()).toBe(0);
    };
    await jump("payments", "payments", /\/services\/payments$/);
    await jump("payments-v", "payments-v2", /\/proxies\/[^/]+$/);
    await jump("topo", "Topology", /\/topology$/);
    await jump("#2", "Revision 2", /\/history\/2$/);
    await jump("members", "Members", /\/members$/);
    await page.keyboard.press("Control+k");
    await field.fill("no such thing");
    await page.getByText("Nothing is called that.").waitFor();
    await page.keyboard.press("Escape");
    await field.waitFor({ state: "detached" });
  });
});

test("single keys go places, search and explain themselves, and can be turned off", async () => {
  await withPage({ token: world.admin }, async (page) => {
    await at(page, "/meshes/shop");
    await page.keyboard.press("g");
    await page.keyboard.press("p");
    await page.waitForURL(/\/proxies$/);
    const search = page.getByRole("searchbox");
    await search.waitFor();
    await page.keyboard.press("/");
    expect(await search.evaluate((field) => field === document.activeElement)).toBe(true);
    await page.keyboard.type("gs?");
    expect(await search.inputValue()).toBe("gs?");
    expect(path(page)).toBe("/meshes/shop/proxies");
    await search.blur();
    await page.keyboard.press("?");
    const help = page.getByRole("dialog", { name: "Keyboard shortcuts" });
    await help.waitFor();
    for (const theme of ["light", "dark"]) {
      await page.evaluate((name) => {
        document.documentElement.dataset.theme = name;
      }, theme);
      expect(await barriers(page), theme).toEqual([]);
    }
    await help.getByLabel("Use shortcuts of single keys").uncheck();
    await page.keyboard.press("Escape");
    await help.waitFor({ state: "detached" });
    await page.keyboard.press("?");
    await page.keyboard.press("g");
    await page.keyboard.press("s");
    expect(await help.count()).toBe(0);
    expect(path(page)).toBe("/meshes/shop/proxies");
    await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
    await help.getByLabel("Use shortcuts of single keys").check();
  });
});

test("the focus goes past the navigation, through the page in its order, and back out of a dialog", async () => {
  await withPage({ token: world.admin }, async (page) => {
    await at(page, "/meshes/shop/services/payments/settings");
    await page.keyboard.press("Tab");
    const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "");
    expect(await focused()).toBe("Skip to the content");
    await page.keyboard.press("Enter");
    const order: number[] = [];
    for (let n = 0; n < 12; n++) {
      await page.keyboard.press("Tab");
      order.push(
        await page.evaluate(() => {
          const all = [...document.querySelectorAll("main *")];
          return all.indexOf(document.activeElement as Element);
        }),
      );
    }
    const inside = order.filter((index) => index >= 0);
    expect(inside.length).toBeGreaterThan(3);
    expect(inside).toEqual([...inside].sort((a, b) => a - b));
    const remove = page.getByRole("button", { name: "Delete service" });
    await remove.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(await remove.evaluate((button) => button === document.activeElement)).toBe(true);
  });
});
