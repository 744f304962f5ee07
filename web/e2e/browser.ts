// A real Chromium, and pages that notice what should not happen.
import AxeBuilder from "@axe-core/playwright";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, inject } from "vitest";

export const world = inject("world");

let browser: Browser;
const opened: Sheet[] = [];

/** Every file of tests has a browser of its own, and no page of it may have broken the policy or thrown. */
export function startBrowser() {
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-dev-shm-usage"],
    });
  });
  afterAll(async () => {
    await browser?.close();
    expect(opened.flatMap((sheet) => sheet.wrong)).toEqual([]);
  });
}

export interface Sheet {
  page: Page;
  context: BrowserContext;
  wrong: string[];
}

export interface Options {
  token?: string;
  /** Signed in with the member's password. */
  member?: boolean;
  theme?: "dark" | "light";
  width?: number;
}

/** A session, as the console keeps it. */
async function session(): Promise<string> {
  const answer = await fetch(`${world.api}/v1/sessions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ org: world.org, ...world.member }),
  });
  const signed = await answer.json();
  return JSON.stringify({
    uid: signed.session.uid,
    access: signed.access_token,
    until: Date.now() + signed.expires_in * 1000,
    refresh: signed.refresh_token,
  });
}

export async function open({ token, member, theme = "light", width = 1280 }: Options = {}): Promise<Sheet> {
  const context = await browser.newContext({
    viewport: { width, height: width === 1280 ? 800 : 1080 },
    colorScheme: theme,
    reducedMotion: "reduce",
    // The identity provider has a certificate of its own making.
    ignoreHTTPSErrors: true,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  context.setDefaultTimeout(15_000);
  if (token) await context.addInitScript((text) => sessionStorage.setItem("heddle.token", text), token);
  if (member)
    await context.addInitScript((text) => sessionStorage.setItem("heddle.session", text), await session());
  const page = await context.newPage();
  const sheet: Sheet = { page, context, wrong: [] };
  opened.push(sheet);
  page.on("pageerror", (error) => sheet.wrong.push(`${page.url()}: ${error.stack}`));
  page.on("console", (message) => {
    const text = message.text();
    // The browser notes every answer above 399 by itself; those are asked for here.
    if (message.type() === "error" && !text.startsWith("Failed to load resource"))
      sheet.wrong.push(`${page.url()}: ${text}`);
  });
  return sheet;
}

export async function withPage<T>(options: Options, use: (page: Page) => Promise<T>): Promise<T> {
  const { page, context } = await open(options);
  try {
    return await use(page);
  } finally {
    await context.close();
  }
}

export const address = (path: string) => world.console.replace(/\/$/, "") + path;

/** What the accessibility checker finds. */
export async function barriers(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`);
}

/** Waits until the page shows what it came for. */
export async function settled(page: Page) {
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.waitForFunction(() => document.querySelector("[data-state=loading]") === null);
  // A stream of events stays open, so the network is never idle.
  await page.waitForFunction(() => !document.body.textContent.includes("Checking…"));
  await page.evaluate(() => document.fonts.ready.then(() => {}));
}
