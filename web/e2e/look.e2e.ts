// Every screen in both themes: what the accessibility checker finds, and whether the page scrolls sideways.
import { expect, test } from "vitest";
import { address, barriers, settled, startBrowser, withPage, world } from "./browser.ts";
import { all, fill } from "./screens.ts";

startBrowser();

test.each(all)("%s", async (path, screen) => {
  const token = screen.outside ? undefined : world.admin;
  await withPage(screen.member ? { member: true } : { token }, async (page) => {
    await page.goto(address(fill(path, screen.full(world))));
    await settled(page);
    for (const theme of ["light", "dark"]) {
      await page.evaluate((name) => {
        document.documentElement.dataset.theme = name;
      }, theme);
      expect(await barriers(page), theme).toEqual([]);
    }
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  });
});

test("the theme of the system is used until another one is chosen, and the choice stays", async () => {
  await withPage({ token: world.admin, theme: "dark" }, async (page) => {
    const theme = () => page.locator("html").getAttribute("data-theme");
    await page.goto(address("/"));
    expect(await theme()).toBe("dark");
    await page.getByRole("button", { name: "Use the light theme" }).click();
    expect(await theme()).toBe("light");
    await page.reload();
    expect(await theme()).toBe("light");
    await page.getByRole("button", { name: "Use the dark theme" }).click();
    expect(await theme()).toBe("dark");
    await page.getByRole("button", { name: "Use the system's theme" }).click();
    expect(await theme()).toBe("dark");
    await page.emulateMedia({ colorScheme: "light" });
    await page.waitForFunction(() => document.documentElement.dataset.theme === "light");
  });
});
