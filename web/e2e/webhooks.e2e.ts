// A webhook from its first message to its end.
import { expect, test } from "vitest";
import { address, barriers, startBrowser, withPage, world } from "./browser.ts";

startBrowser();

test("a webhook is made, told something, and what became of it is seen", async () => {
  await withPage({ token: world.admin }, async (page) => {
    await page.goto(address("/webhooks"));
    await page.getByRole("button", { name: "New webhook" }).click();
    await page.getByLabel("Name", { exact: true }).fill("deployments");
    const url = page.getByLabel("Where messages are sent");
    await url.fill("http://hooks.example.com");
    await page.getByRole("button", { name: "Create webhook" }).click();
    await page.getByText("only https:// is called", { exact: false }).waitFor();
    await url.fill(`${world.provider.issuer}/nowhere`);
    await page.getByRole("button", { name: "Create webhook" }).click();
    await page.getByText(/whsec_/).waitFor();
    await page.getByRole("button", { name: "I have copied it" }).click();
    await page.getByRole("link", { name: "deployments" }).click();
    await page.getByText("Nothing was sent yet").waitFor();
    await page.getByRole("button", { name: "Send a test message" }).click();
    const row = page.getByRole("row").filter({ hasText: "ping" }).first();
    await row.getByText("404 not a status of success (2xx)").waitFor();
    await row.getByText("pending").waitFor();
    await row.getByRole("button", { name: "Send again" }).click();
    await page.getByText("The message is on its way").waitFor();
    expect(await barriers(page)).toEqual([]);
    await page.getByRole("button", { name: "New secret" }).click();
    await page.getByRole("button", { name: "Make a new secret" }).click();
    await page.getByText(/whsec_/).waitFor();
    await page.getByRole("button", { name: "I have copied it" }).click();
    await page.getByText("two: the one before signs as well", { exact: false }).waitFor();
    await page.getByRole("button", { name: "Switch off" }).click();
    await page.getByText("by hand").waitFor();
    await row.getByText("failed").waitFor();
    await page.getByRole("button", { name: "Delete webhook" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete webhook" }).click();
    await page.getByText("deployments is gone").waitFor();
    await page.getByRole("link", { name: "releases" }).waitFor();
  });
});
