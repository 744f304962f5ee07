import { beforeAll, expect, test, vi } from "vitest";
import type { JoinToken } from "../api/types.ts";
import { gateText, nextText, stateText } from "./rotation-words.ts";

beforeAll(() => {
  vi.stubGlobal("sessionStorage", { getItem: () => null, setItem: () => {}, removeItem: () => {} });
  vi.stubGlobal("location", { origin: "http://127.0.0.1" });
});

const zero = {
  ready: 0,
  pending: 0,
  refused: 0,
  offline: 0,
  left_behind: 0,
  certificates: 0,
  certificates_until: null,
  waiting_for: 0,
};
const gate = (pace: "automatic" | "manual", counts: object) =>
  gateText({ pace, progress: { ...zero, ...counts } });

test("a rotation says whom it waits for, and whom it does not", () => {
  expect(gate("automatic", { ready: 3 })).toBe("Nobody is waited for: the next step is taken by itself.");
  expect(gate("manual", { ready: 3 })).toBe("Nobody is waited for: the next step is yours.");
  expect(gate("manual", { pending: 1, waiting_for: 1 })).toBe("The next step waits for 1 proxy.");
  expect(gate("automatic", { offline: 2, refused: 1, waiting_for: 3, left_behind: 1 })).toBe(
    "The next step waits for 3 proxies. 1 is left behind: it was away for longer than its certificate lasts, and it is told everything when it comes back.",
  );
  expect(gate("manual", { pending: 2, certificates: 1, waiting_for: 3 })).toBe(
    "The next step waits for 2 proxies and 1 certificate that the API gave out, until the end.",
  );
  expect(gate("manual", { certificates: 2, waiting_for: 2 })).toBe(
    "The next step waits for 2 certificates that the API gave out, until the end.",
  );
  expect(gate("automatic", { left_behind: 2 })).toContain("2 are left behind: they were away");
  // In an emergency those that are away are counted, and not waited for.
  expect(gate("automatic", { offline: 2 })).toContain("Nobody is waited for");
});

test("what a rotation is doing follows its state, what it replaces and its direction", () => {
  const text = (more: object) => stateText({ what: "root", reversing: false, ...more } as never);
  expect(text({ state: "published" })).toBe("Proxies are told to trust the new root beside the old one.");
  expect(text({ state: "published", reversing: true })).toContain("What was there before signs again");
  expect(text({ state: "cancelled", reversing: true })).toContain("It was turned round");
  expect(text({ state: "removed" })).toBe("The old root is trusted by nobody.");
  expect(text({ state: "removed", what: "intermediate" })).toBe("What was before signs nothing any more.");
  const retiring = { state: "retiring" as const, reversing: false };
  expect(nextText({ ...retiring, what: "root" })).toBe(
    "The old root is dropped, and nothing brings it back.",
  );
  expect(nextText({ ...retiring, what: "root", reversing: true })).not.toContain("old root");
});

test("a revocation concerns a proxy by its name, and by its service", async () => {
  const { inForce } = await import("./revoke.tsx");
  const revocation = (uid: string, service: string, proxy: string | null, state = "in_force") =>
    ({ service, proxy: proxy && { name: proxy, uid: "px_before" }, state, meta: { uid } }) as never;
  const list = [
    revocation("service", "pay", null),
    revocation("proxy", "pay", "pay-1"),
    revocation("lifted", "pay", "pay-1", "lifted"),
    revocation("namesake", "shop", "pay-1"),
    revocation("other", "pay", "pay-2"),
  ];
  const found = (of: Parameters<typeof inForce>[1]) => inForce(list, of).map((one) => one.meta.uid);
  expect(found({ service: "pay", proxy: { name: "pay-1", uid: "px_now" } })).toEqual(["service", "proxy"]);
  expect(found({ service: "pay" })).toEqual(["service"]);
  expect(found({ service: "shop" })).toEqual([]);
});

test("a join token holds what was said, and nothing else", async () => {
  const { emptyToken, tokenOf, tokenPointers } = await import("./join-token-form.tsx");
  expect(tokenOf(emptyToken)).toEqual({ reusable: false });
  // Whoever was forgotten joins anew: the server refuses the one without the other.
  expect(tokenOf({ ...emptyToken, ephemeral: true })).toEqual({ reusable: true, ephemeral: true });
  const fields = {
    ...emptyToken,
    networks: " 10.20.0.0/16,fd00::/8 ",
    labels: [
      { key: " zone ", value: "eu-1" },
      { key: "a/b~c", value: "" },
      { key: "", value: "left over" },
    ],
  };
  expect(tokenOf(fields)).toEqual({
    reusable: false,
    networks: ["10.20.0.0/16", "fd00::/8"],
    labels: { zone: "eu-1", "a/b~c": "" },
  });
  expect(tokenPointers(fields)).toEqual(["/networks", "/labels/zone", "/labels/a~1b~0c"]);
});

test("whom a join token is for reads as a sentence", async () => {
  const { whom } = await import("./join-tokens.tsx");
  const token = { reusable: true, ephemeral: true, networks: ["10.0.0.0/8"], labels: { zone: "eu-1" } };
  expect(whom(token as unknown as JoinToken)).toBe(
    "proxies that come and go, from 10.0.0.0/8, labelled zone=eu-1",
  );
  const plain = { reusable: false, ephemeral: false, networks: null, labels: {} };
  expect(whom(plain as unknown as JoinToken)).toBe("one proxy");
});
