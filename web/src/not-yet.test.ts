import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { notYet } from "../e2e/not-yet.ts";

test("every numbered rule of the console has a test, or a reason why it has none yet", () => {
  const rules = readFileSync(join(import.meta.dirname, "../../xtask/rules.toml"), "utf8");
  const tested = [...rules.matchAll(/^(W\d\d) = /gm)].map((match) => match[1]);
  const wholly = notYet.filter((one) => one.part === undefined).map((one) => one.rule);
  const numbers = Array.from({ length: 10 }, (_, index) => `W${String(index + 1).padStart(2, "0")}`);
  expect([...tested, ...wholly].sort()).toEqual(numbers);
  for (const { rule, part, why } of notYet) {
    expect(why, rule).toMatch(/\.$/);
    if (part !== undefined) expect(tested).toContain(rule);
  }
});
