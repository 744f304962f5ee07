// Single sign-on: a provider is connected and tested, an account linked, and signed in with, in a browser and at a real provider.
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { address, barriers, startBrowser, withPage, world } from "./browser.ts";
import { signIn } from "./screens.ts";

startBrowser();

const ORG = "single";
const EMAIL = "ada@single.example";

async function member(): Promise<string> {
  const answer = await fetch(`${world.api}/v1/orgs/-/members`, {
    method: "POST",
    headers: { authorization: `Bearer ${world.single}`, "content-type": "application/json" },
    body: JSON.stringify({ email: EMAIL, role: "owner" }),
  });
  expect(answer.ok, await answer.clone().text()).toBe(true);
  return (await answer.json()).initial_password;
}

/** At the provider: says who it is, and agrees. */
async function beWhom(page: Page, account: string) {
  await page.getByPlaceholder("Enter any login").fill(account);
  await page.getByPlaceholder("and password").fill("x");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
}

test("sec_a08_a_provider_is_connected_and_an_account_linked_and_signed_in_with", async () => {
  const password = await member();
  await withPage({}, async (page) => {
    const dialog = page.getByRole("dialog");
    await page.goto(address("/members"));
    await signIn(page, ORG, EMAIL, password);
    await page.getByRole("button", { name: "Connect a provider" }).click();
    await dialog.getByLabel("Name", { exact: true }).fill("workforce");
    await dialog.getByLabel("On the button").fill("Acme Workforce");
    await dialog.getByLabel("Issuer").fill("http://id.example.com");
    await dialog.getByLabel("Client id").fill(world.provider.client);
    await dialog.getByLabel("Client secret").fill("wrong");
    await dialog.getByRole("button", { name: "Connect", exact: true }).click();
    await dialog.getByText("only https:// is called", { exact: false }).waitFor();
    await dialog.getByLabel("Issuer").fill(world.provider.issuer);
    expect(await barriers(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Connect", exact: true }).click();
    await page.getByText(`${world.api}/console/sso/single/workforce`).waitFor();
    expect(await page.content()).not.toContain("wrong");

    await page.getByRole("button", { name: "Test", exact: true }).click();
    await dialog.getByRole("button", { name: "Test", exact: true }).click();
    await dialog.getByText("invalid_client", { exact: false }).waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await page.getByRole("button", { name: "Replace secret" }).click();
    await dialog.getByLabel("Client secret").fill(world.provider.secret);
    await dialog.getByRole("button", { name: "Replace", exact: true }).click();
    await page.getByText("The secret is replaced").waitFor();

    await page.goto(address("/account"));
    await page.getByRole("button", { name: "Link an account" }).click();
    await dialog.getByRole("button", { name: "Link with Acme Workforce" }).click();
    await beWhom(page, "ada");
    await page.getByText("ada@example.com").waitFor();
    expect(page.url()).toBe(address("/account"));
    expect(await barriers(page)).toEqual([]);

    await page.getByRole("button", { name: "Sign out", exact: true }).first().click();
    // The provider still knows who this is.
    await page.getByRole("button", { name: "Sign in with Acme Workforce" }).click();
    await page.getByRole("heading", { name: "Meshes" }).waitFor();
    await page.getByText(EMAIL).waitFor();
    // What came back is of no use again, here or in another tab.
    await page.goBack();
    await page.goto(address("/sso/single/workforce?code=a&state=b"));
    await page.getByText("This sign-in did not begin here").waitFor();
    expect(page.url()).not.toContain("code=");
  });
  await withPage({}, async (page) => {
    await page.goto(address("/sign-in"));
    await page.getByLabel("Organisation").fill(ORG);
    await page.getByRole("button", { name: "Sign in with Acme Workforce" }).click();
    await beWhom(page, "stranger");
    await page.getByText("Nobody is known by this account").waitFor();
    expect(await barriers(page)).toEqual([]);
  });
});
