// The rules of a console that hold for every page of it (their sentences are in xtask/rules.toml).
import { expect, test } from "vitest";
import { address, barriers, open, settled, startBrowser, withPage, world } from "./browser.ts";
import { all, fill } from "./screens.ts";

startBrowser();

const script = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

test("sec_w02_text_from_outside_is_text_on_every_screen_and_the_policy_is_never_broken", async () => {
  const put = async (path: string, body: unknown) => {
    const answer = await fetch(`${world.api}/v1/orgs/-/meshes/${path}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${world.marked}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    expect(answer.ok, await answer.clone().text()).toBe(true);
  };
  const mesh = "marked";
  await put(mesh, { display_name: script, labels: { note: "x" } });
  await put(`${mesh}/services/pay`, {
    display_name: script,
    ports: [{ name: "http", port: 80, protocol: "http" }],
  });
  await put(`${mesh}/services/pay/routes/all`, {
    display_name: script,
    priority: 1,
    backends: [{ service: "pay" }],
  });
  await put(`${mesh}/services/pay/access-rules/one`, {
    display_name: script,
    action: "allow",
    from: [{ service: "pay" }],
    reason: script,
  });
  const params = { mesh, service: "pay", route: "all", rule: "one", proxy: "none", revision: "1" };
  const { page, context, wrong } = await open({ token: world.marked });
  await page.exposeFunction("violated", (what: string) => wrong.push(what));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      (window as unknown as { violated: (what: string) => void }).violated(
        `policy: ${event.violatedDirective}`,
      );
    });
  });
  for (const [path] of all) {
    await page.goto(address(fill(path, params)));
    await settled(page);
    expect(await page.title(), path).not.toBe("owned");
  }
  await page.goto(address(fill("/meshes/$mesh", params)));
  await page.getByRole("heading", { name: script }).waitFor();
  expect(wrong).toEqual([]);
  await context.close();
});

test("sec_w06_the_credential_is_in_this_tab_only_and_gone_when_signed_out", async () => {
  await withPage({}, async (page) => {
    await page.goto(address("/sign-in?by=token"));
    await page.getByLabel("API token").fill("heddle_pat_wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("That token is not valid").waitFor();
    await page.getByLabel("API token").fill(world.viewer);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Meshes" }).waitFor();
    const kept = () =>
      page.evaluate(() => JSON.stringify([{ ...localStorage }, document.cookie, location.href]));
    expect(await kept()).not.toContain(world.viewer);
    const second = await page.context().newPage();
    await second.goto(address("/"));
    await second.getByRole("heading", { name: "Sign in to Heddle" }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to Heddle" }).waitFor();
    expect(await page.evaluate(() => JSON.stringify({ ...sessionStorage }))).not.toContain(world.viewer);
    await page.goBack();
    await page.getByRole("heading", { name: "Sign in to Heddle" }).waitFor();
  });
});

test("sec_w08_what_is_large_is_deleted_only_after_its_name_was_typed", async () => {
  await withPage({ token: world.admin }, async (page) => {
    await page.goto(address("/meshes/shop/services/payments/settings"));
    await page.getByRole("button", { name: "Delete service" }).click();
    const confirm = page.getByRole("dialog").getByRole("button", { name: "Delete service" });
    expect(await confirm.isDisabled()).toBe(true);
    await page.getByLabel("Type payments to confirm").fill("payment");
    expect(await confirm.isDisabled()).toBe(true);
    await page.getByLabel("Type payments to confirm").fill("payments");
    expect(await confirm.isDisabled()).toBe(false);
    await page.getByRole("button", { name: "Keep it" }).click();
  });
});

// The server's half is `sec_w08_what_cannot_be_taken_back_needs_a_fresh_sign_in`. Nobody waits five minutes here, so its answer to
// an old session is played to the page once; everything after it is real.
test("sec_w08_whoever_signed_in_long_ago_does_so_again_and_goes_on", async () => {
  const mesh = `${world.api}/v1/orgs/-/meshes/left-open`;
  const headers = { authorization: `Bearer ${world.admin}`, "content-type": "application/json" };
  const made = await fetch(mesh, {
    method: "PUT",
    headers,
    body: JSON.stringify({ deletion_protection: false }),
  });
  expect(made.ok, await made.clone().text()).toBe(true);
  await withPage({ member: true }, async (page) => {
    const session = () => page.evaluate(() => JSON.parse(sessionStorage.getItem("heddle.session") ?? "null"));
    let asked = 0;
    await page.route("**/meshes/left-open*", async (route) => {
      if (route.request().method() !== "DELETE" || asked++ > 0) return route.fallback();
      await route.fulfill({
        status: 401,
        headers: {
          "content-type": "application/problem+json",
          "www-authenticate":
            'Bearer realm="heddle", error="insufficient_user_authentication", max_age="300"',
        },
        body: JSON.stringify({ title: "Sign in again", status: 401, code: "HED-2036" }),
      });
    });
    await page.goto(address("/meshes/left-open/settings"));
    await page.getByRole("button", { name: "Delete mesh" }).click();
    await page.getByLabel("Type left-open to confirm").fill("left-open");
    const before = await session();
    await page.getByRole("dialog").getByRole("button", { name: "Delete mesh" }).click();
    const ask = page.getByRole("dialog", { name: "Confirm that it is you" });
    expect(await barriers(page)).toEqual([]);
    await ask.getByLabel("Your password").fill("wrong");
    await ask.getByRole("button", { name: "Go on" }).click();
    await ask.getByText("That is not your password").waitFor();
    expect((await fetch(mesh, { headers })).status).toBe(200);
    await ask.getByLabel("Your password").fill(world.member.password);
    await ask.getByRole("button", { name: "Go on" }).click();
    await page.getByRole("heading", { name: "Meshes" }).waitFor();
    expect((await fetch(mesh, { headers })).status).toBe(404);
    // The new session took the old one's place, which is worth nothing now.
    const after = await session();
    expect(after.uid).not.toBe(before.uid);
    const old = await fetch(`${world.api}/v1/whoami`, {
      headers: { authorization: `Bearer ${before.access}` },
    });
    expect(old.status).toBe(401);
  });
});

test("sec_w09_nothing_but_what_the_console_is_made_of_is_served", async () => {
  const page = await (await fetch(address("/"))).text();
  const scripts = [...page.matchAll(/src="([^"]+)"/g)].flatMap((match) => match[1] ?? []);
  expect(scripts.length).toBeGreaterThan(1);
  for (const path of scripts) {
    const answer = await fetch(new URL(path, world.console));
    expect(answer.status, path).toBe(200);
    expect(await answer.text()).not.toContain("sourceMappingURL");
    expect((await fetch(new URL(`${path}.map`, world.console))).status).toBe(404);
  }
  for (const path of ["/assets/", "/.gitignore", "/package.json", "/%2e%2e/Cargo.toml", "/..%2fCargo.toml"]) {
    expect((await fetch(address(path))).status, path).toBe(404);
  }
});
