// What every address must be able to show. A pair that is missing does not compile; `router.test.ts` compares the
// addresses with those of the router.
import type { Page } from "playwright-core";
import type { World } from "./server.ts";

export type State = "empty" | "loading" | "error" | "read-only";
export const states: State[] = ["empty", "loading", "error", "read-only"];

/** A text that shows the state; or something to do first; or why there is no such state. */
export type Show =
  | { text: string }
  | { does: (page: Page) => Promise<void>; text: string /** It fails to read, not to write. */; reads?: true }
  | { none: string };

export interface Screen {
  /** The parts of the address, in a mesh where there is something. */
  full: (world: World) => Record<string, string>;
  /** And where there is nothing; tokens by the name of the organisation. */
  bare: Record<string, string>;
  emptyIn?: "nothing" | "bare";
  /** Who may look at it and change nothing; otherwise the viewer. */
  reader?: "auditor";
  /** For who is not signed in. */
  outside?: true;
  /** For who signed in with a password, not with a token. */
  member?: true;
  states: Record<State, Show>;
}

const form = "Nothing is loaded for a form that begins empty.";
const loading = (what: string): Show => ({ text: `Loading ${what}…` });
const error: Show = { text: "The server failed on purpose." };
const readOnly = (permission: string): Show => ({ text: `lacks the permission ${permission}` });
const failsToSave = (button: string, name = "probe"): Show => ({
  text: "The server failed on purpose.",
  does: async (page) => {
    await page.getByLabel("Name", { exact: true }).fill(name);
    await page.getByRole("button", { name: button }).click();
  },
});

export async function signIn(page: Page, org: string, email: string, password: string) {
  await page.getByLabel("Organisation").fill(org);
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

const nobody = "Nobody is signed in yet, so nobody lacks a permission.";

/** As from a mail: the same page, with what makes a link of it. */
const openLink = (page: Page, kind: "inv" | "rst") =>
  page.evaluate((kind) => location.assign(`?org=demo#heddle_${kind}_none`), kind);

/** As if this tab had been sent to a provider. */
async function comeBack(page: Page) {
  const away = { org: "demo", connection: "workforce", secret: "heddle_sso_none" };
  await page.evaluate((text) => {
    sessionStorage.setItem("heddle.sso", text);
    location.assign("?code=none&state=none");
  }, JSON.stringify(away));
}

async function forget(page: Page) {
  await page.getByLabel("Organisation").fill("demo");
  await page.getByLabel("E-mail address").fill("a@b.example");
  await page.getByRole("button", { name: "Send the link" }).click();
}

async function resetPassword(page: Page) {
  await openLink(page, "rst");
  await page.getByLabel("New password").fill("long enough to be one");
  await page.getByRole("button", { name: "Set password" }).click();
}

async function lookUpCode(page: Page) {
  await page.getByLabel("Code").fill("BCDF-GHJK");
  await page.getByRole("button", { name: "Look up" }).click();
}

const shop = (world: World) => ({ mesh: world.mesh });
const payments = (world: World) => ({ mesh: world.mesh, service: "payments" });
const lonely = { mesh: "bare", service: "lonely" };

export const screens = {
  "/sign-in": {
    full: () => ({}),
    bare: {},
    emptyIn: "nothing",
    outside: true,
    states: {
      empty: { text: "E-mail address" },
      loading: { text: "Signing in…", does: (page) => signIn(page, "demo", "a@b.example", "x") },
      error: {
        text: "The server failed on purpose.",
        does: (page) => signIn(page, "demo", "a@b.example", "x"),
      },
      "read-only": { none: nobody },
    },
  },
  "/forgot-password": {
    full: () => ({}),
    bare: {},
    outside: true,
    states: {
      empty: { text: "You get a link by mail" },
      loading: { text: "Sending…", does: forget },
      error: { text: "The server failed on purpose.", does: forget },
      "read-only": { none: nobody },
    },
  },
  "/reset-password": {
    full: () => ({}),
    bare: {},
    outside: true,
    states: {
      empty: { text: "This link cannot be used" },
      loading: { text: "Setting…", does: resetPassword },
      error: { text: "The server failed on purpose.", does: resetPassword },
      "read-only": { none: nobody },
    },
  },
  "/invitation": {
    full: () => ({}),
    bare: {},
    outside: true,
    states: {
      empty: { text: "This invitation cannot be used" },
      loading: { text: "Loading invitation…", does: (page) => openLink(page, "inv") },
      error: { text: "The server failed on purpose.", does: (page) => openLink(page, "inv") },
      "read-only": { none: nobody },
    },
  },
  "/sso/$org/$connection": {
    full: () => ({ org: "demo", connection: "workforce" }),
    bare: { org: "demo", connection: "workforce" },
    outside: true,
    states: {
      empty: { text: "This sign-in did not begin here" },
      loading: { text: "Loading answer of your provider…", does: comeBack },
      error: { text: "The server failed on purpose.", does: comeBack },
      "read-only": { none: nobody },
    },
  },
  "/": {
    full: () => ({}),
    bare: {},
    emptyIn: "nothing",
    states: {
      empty: { text: "No mesh yet" },
      loading: loading("meshes"),
      error,
      "read-only": readOnly("meshes:write"),
    },
  },
  "/account": {
    full: () => ({}),
    bare: {},
    states: {
      empty: { text: "A token has no sessions" },
      loading: loading("sessions"),
      error,
      "read-only": { none: "Every role may manage what is its own." },
    },
  },
  "/device": {
    full: () => ({}),
    bare: {},
    member: true,
    states: {
      empty: { text: "Sign in as a person" },
      loading: { text: "Loading code…", does: lookUpCode },
      error: { text: "The server failed on purpose.", does: lookUpCode, reads: true },
      "read-only": { none: "Every role may let in its own devices." },
    },
  },
  "/members": {
    full: () => ({}),
    bare: {},
    reader: "auditor",
    states: {
      empty: { text: "No members yet" },
      loading: loading("members"),
      error,
      "read-only": readOnly("members:write"),
    },
  },
  "/service-accounts": {
    full: () => ({}),
    bare: {},
    reader: "auditor",
    states: {
      empty: { text: "No service accounts yet" },
      loading: loading("service accounts"),
      error,
      "read-only": readOnly("service_accounts:write"),
    },
  },
  "/roles": {
    full: () => ({}),
    bare: {},
    reader: "auditor",
    states: {
      empty: { text: "Nobody has a role yet" },
      loading: loading("roles"),
      error,
      "read-only": readOnly("role_bindings:write"),
    },
  },
  "/tokens": {
    full: () => ({}),
    bare: {},
    reader: "auditor",
    states: {
      empty: { none: "Who looks with a token sees at least that one; for a member, people.e2e.ts looks." },
      loading: loading("API tokens"),
      error,
      "read-only": { none: "What is one's own everybody may manage." },
    },
  },
  "/webhooks": {
    full: () => ({}),
    bare: {},
    reader: "auditor",
    states: {
      empty: { text: "No webhooks" },
      loading: loading("webhooks"),
      error,
      "read-only": readOnly("webhooks:write"),
    },
  },
  "/webhooks/$webhook": {
    full: () => ({ webhook: "releases" }),
    bare: { webhook: "gone" },
    reader: "auditor",
    states: {
      empty: { text: "There is no such webhook" },
      loading: loading("webhook"),
      error,
      "read-only": readOnly("webhooks:write"),
    },
  },
  "/usage": {
    full: () => ({}),
    bare: {},
    states: {
      empty: { text: "No proxy was connected" },
      loading: loading("usage"),
      error,
      "read-only": { none: "Whoever runs the server changes limits, and nobody does here." },
    },
  },
  "/meshes/new": {
    full: () => ({}),
    bare: {},
    states: {
      empty: { text: "Create mesh" },
      loading: { none: form },
      error: failsToSave("Create mesh"),
      "read-only": readOnly("meshes:write"),
    },
  },
  "/meshes/$mesh": {
    full: shop,
    bare: { mesh: "void" },
    states: {
      empty: { text: "This mesh has no service yet" },
      loading: loading("mesh"),
      error,
      "read-only": { none: "It only shows; what it leads to says itself what is missing." },
    },
  },
  "/meshes/$mesh/settings": {
    full: shop,
    bare: { mesh: "void" },
    states: {
      empty: { text: "Delete this mesh" },
      loading: loading("mesh"),
      error,
      "read-only": readOnly("meshes:write"),
    },
  },
  "/meshes/$mesh/topology": {
    full: shop,
    bare: { mesh: "void" },
    states: {
      empty: { text: "Nothing to draw yet" },
      loading: loading("services"),
      error,
      "read-only": { none: "It only shows." },
    },
  },
  "/meshes/$mesh/services": {
    full: shop,
    bare: { mesh: "void" },
    states: {
      empty: { text: "No services yet" },
      loading: loading("services"),
      error,
      "read-only": readOnly("config:write"),
    },
  },
  "/meshes/$mesh/services/new": {
    full: shop,
    bare: { mesh: "void" },
    states: {
      empty: { text: "Create service" },
      loading: { none: form },
      error: failsToSave("Create service"),
      "read-only": readOnly("config:write"),
    },
  },
  "/meshes/$mesh/services/$service": {
    full: payments,
    bare: lonely,
    states: {
      empty: { text: "Nothing runs it yet." },
      loading: loading("service"),
      error,
      "read-only": readOnly("config:write"),
    },
  },
  "/meshes/$mesh/services/$service/settings": {
    full: payments,
    bare: lonely,
    states: {
      empty: { text: "Delete this service" },
      loading: loading("service"),
      error,
      "read-only": readOnly("config:write"),
    },
  },
  "/meshes/$mesh/services/$service/routes/new": {
    full: payments,
    bare: lonely,
    states: {
      empty: { text: "Create route" },
      loading: { none: form },
      error: failsToSave("Create route"),
      "read-only": readOnly("config:write"),
    },
  },
  "/meshes/$mesh/services/$service/routes/$route": {
    full: (world) => ({ ...payments(world), route: "all" }),
    bare: { ...lonely, route: "all" },
    states: {
      empty: { text: "This route has no split" },
      loading: loading("route"),
      error,
      "read-only": readOnly("config:write"),
    },
  },
  "/meshes/$mesh/services/$service/access/new": {
    full: payments,
    bare: lonely,
    states: {
      empty: { text: "Create rule" },
      loading: { none: form },
      error: failsToSave("Create rule"),
      "read-only": readOnly("access:write"),
    },
  },
  "/meshes/$mesh/services/$service/access/$rule": {
    full: (world) => ({ ...payments(world), rule: "checkout-may-call" }),
    bare: { ...lonely, rule: "gone" },
    states: {
      empty: { text: "There is no such access rule" },
      loading: loading("access rule"),
      error,
      "read-only": readOnly("access:write"),
    },
  },
  "/meshes/$mesh/access": {
    full: shop,
    bare: { mesh: "void" },
    states: {
      empty: { text: "No access rules yet" },
      loading: loading("access rules"),
      error,
      "read-only": { none: "It only shows: a rule is changed where it belongs." },
    },
  },
  "/meshes/$mesh/proxies": {
    full: shop,
    bare: { mesh: "void" },
    states: {
      empty: { text: "No proxy has connected yet" },
      loading: loading("proxies"),
      error,
      "read-only": readOnly("join_tokens:write"),
    },
  },
  "/meshes/$mesh/proxies/$proxy": {
    full: (world) => ({ mesh: world.mesh, proxy: "payments-v1" }),
    bare: { mesh: "bare", proxy: "gone" },
    states: {
      empty: { text: "There is no such proxy" },
      loading: loading("proxy"),
      error,
      "read-only": readOnly("proxies:write"),
    },
  },
  "/meshes/$mesh/proxies/$proxy/config": {
    full: (world) => ({ mesh: world.mesh, proxy: "payments-v1" }),
    bare: { mesh: "bare", proxy: "gone" },
    states: {
      empty: { text: "There is no such proxy" },
      loading: loading("proxy"),
      error,
      "read-only": { none: "It only shows; each part leads to the object that it comes from." },
    },
  },
  "/meshes/$mesh/join-tokens": {
    full: shop,
    bare: { mesh: "void" },
    states: {
      empty: { text: "No join tokens" },
      loading: loading("join tokens"),
      error,
      "read-only": readOnly("join_tokens:write"),
    },
  },
  "/meshes/$mesh/authorities": {
    full: shop,
    bare: { mesh: "void" },
    states: {
      empty: { text: "Nothing was rotated yet" },
      loading: loading("rotations"),
      error,
      "read-only": readOnly("meshes:write"),
    },
  },
  "/meshes/$mesh/revocations": {
    full: () => ({ mesh: "leaky" }),
    bare: { mesh: "void" },
    states: {
      empty: { text: "Nobody is revoked" },
      loading: loading("revocations"),
      error,
      "read-only": readOnly("proxies:write"),
    },
  },
  "/meshes/$mesh/history": {
    full: shop,
    bare: { mesh: "void" },
    states: {
      empty: { text: "Nothing has changed since this mesh was created." },
      loading: loading("revisions"),
      error,
      "read-only": { none: "It only shows." },
    },
  },
  "/meshes/$mesh/history/$revision": {
    full: (world) => ({ mesh: world.mesh, revision: "6" }),
    bare: { mesh: "void", revision: "99" },
    states: {
      empty: { text: "There is no such revision" },
      loading: loading("revision"),
      error,
      "read-only": readOnly("config:write"),
    },
  },
  "/meshes/$mesh/history/$revision/objects": {
    full: (world) => ({ mesh: world.mesh, revision: "6" }),
    bare: { mesh: "void", revision: "1" },
    states: {
      empty: { text: "There was nothing but the mesh itself." },
      loading: loading("objects"),
      error,
      "read-only": { none: "It only shows." },
    },
  },
  "/meshes/$mesh/connect": {
    full: shop,
    bare: { mesh: "void" },
    states: {
      empty: { text: "There is no service to connect to yet" },
      loading: loading("services"),
      error,
      "read-only": readOnly("join_tokens:write"),
    },
  },
} satisfies Record<string, Screen>;

export type Address = keyof typeof screens;

export const all = Object.entries(screens) as [Address, Screen][];

export function fill(path: string, params: Record<string, string>): string {
  return path.replaceAll(/\$(\w+)/g, (_, name: string) => params[name] ?? name);
}
