// Every address in every state.
import { describe, expect, test } from "vitest";
import { address, startBrowser, withPage, world } from "./browser.ts";
import { all, fill, states } from "./screens.ts";

startBrowser();

const problem = {
  type: "about:blank",
  title: "Internal error",
  status: 500,
  detail: "The server failed on purpose.",
  code: "HED-9000",
  request_id: "req-on-purpose",
};

describe.each(all)("%s", (path, screen) => {
  test.each(states)("%s", async (state) => {
    const show = screen.states[state];
    if ("none" in show) return expect(show.none).toMatch(/\.$/);
    const outside = screen.outside === true;
    const empty = state === "empty";
    const token = outside
      ? undefined
      : empty
        ? world[screen.emptyIn ?? "bare"]
        : state === "read-only"
          ? world[screen.reader ?? "viewer"]
          : world.admin;
    const member = screen.member && !empty;
    await withPage(member ? { member } : { token }, async (page) => {
      const calls = outside
        ? /\/v1\/(sessions|password-resets|invitations|sso-sign-ins)(\/\w+)?$/
        : "**/v1/orgs/**";
      const reading = (method: string) => "does" in show || method === "GET";
      const written = "does" in show && !show.reads && !outside;
      if (state === "loading") await page.route(calls, () => {});
      if (state === "error") {
        await page.route(calls, (route) =>
          reading(route.request().method()) && !(written && route.request().method() === "GET")
            ? route.fulfill({ status: 500, contentType: "application/problem+json", json: problem })
            : route.continue(),
        );
      }
      await page.goto(address(fill(path, empty ? screen.bare : screen.full(world))));
      if ("does" in show) await show.does(page);
      await page.getByText(show.text).first().waitFor();
      if (state === "error") {
        await page.getByText("HED-9000").first().waitFor();
        await page.unroute(calls);
        const failures = page.locator("[data-state=error]");
        while (!("does" in show) && (await failures.count()) > 0) {
          const failure = await failures.first().elementHandle();
          await page.getByRole("button", { name: "Try again" }).first().click();
          await failure?.waitForElementState("hidden");
        }
      }
      if (state === "read-only") {
        const inert = page.locator("main button:disabled, main button[title^='Needs the permission']");
        // What is folded away is inert as well, and not what one sees.
        await inert.filter({ visible: true }).first().waitFor();
        // A form that only asks what to show stays as it is.
        expect(await page.locator("main form:not([data-reads]) :is(input, select):enabled").count()).toBe(0);
      }
    });
  });
});
