import { expect, test } from "vitest";
import { type Entry, find, revisionIn } from "./find.ts";

const entry = (group: string, text: string, also?: string): Entry => ({ group, text, also, go: () => {} });

test("what begins with the text comes first, then a word in it, then anything; each group stays together", () => {
  const all = [
    entry("Services", "repay"),
    entry("Services", "old-pay"),
    entry("Services", "payments"),
    entry("Services", "orders"),
    entry("Proxies", "orders-1", "10.0.0.7"),
    entry("Meshes", "pay"),
  ];
  const names = (q: string) => find(all, q).map((one) => one.text);
  expect(names("PAY")).toEqual(["payments", "old-pay", "repay", "pay"]);
  expect(names("10.0.0.7")).toEqual(["orders-1"]);
  expect(names("nothing")).toEqual([]);
});

test("a group shows its best few only", () => {
  const many = Array.from({ length: 2_000 }, (_, n) => entry("Proxies", `p-${n}`));
  expect(find(many, "p-").length).toBe(6);
});

test("a revision is named in several ways", () => {
  for (const text of ["12", "#12", "r12", "rev 12", "Revision 12 "]) expect(revisionIn(text), text).toBe(12);
  for (const text of ["", "twelve", "12a", "#", "payments-12"]) expect(revisionIn(text), text).toBeNull();
});
