// Pictures for people who judge them. Not a test: `make screenshots` alone runs it.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "vitest";
import { address, type Options, settled, startBrowser, withPage, world } from "./browser.ts";
import { all, fill } from "./screens.ts";

const folder = process.env.SCREENSHOTS;

describe.runIf(folder)("pictures", () => {
  startBrowser();
  const to = join(process.cwd(), folder ?? "");
  mkdirSync(to, { recursive: true });
  const widths = [1280, 1920];
  const themes = ["light", "dark"] as const;
  const pictures = widths.flatMap((width) => themes.map((theme) => ({ width, theme })));
  test.each(pictures)(
    "$width $theme",
    async ({ width, theme }) => {
      const named = (path: string) => path.replaceAll(/[^a-z]+/g, "-").replaceAll(/^-|-$/g, "") || "home";
      const shot = async (options: Options, path: string, params: Record<string, string>, name: string) =>
        withPage({ ...options, theme, width }, async (page) => {
          await page.goto(address(fill(path, params)));
          await settled(page);
          await page.screenshot({ path: join(to, `${name}-${theme}-${width}.png`), fullPage: true });
        });
      for (const [path, screen] of all) {
        const full = screen.member ? { member: true } : screen.outside ? {} : { token: world.admin };
        await shot(full, path, screen.full(world), named(path));
        if (!screen.outside && !path.endsWith("/new"))
          await shot({ token: world[screen.emptyIn ?? "bare"] }, path, screen.bare, `${named(path)}-empty`);
      }
    },
    180_000,
  );
});
