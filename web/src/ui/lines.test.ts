import { expect, test } from "vitest";
import { compareLines } from "./lines.ts";

const signs = { same: " ", added: "+", removed: "-" };
const shown = (before: string, after: string) =>
  compareLines(before, after).map((line) => signs[line.sign] + line.text);

test("what did not change is shown once, what did on both sides", () => {
  expect(shown("a\nb\nc\n", "a\nx\nc\nd\n")).toEqual([" a", "-b", "+x", " c", "+d"]);
  expect(shown("", "a\n")).toEqual(["+a"]);
  expect(shown("a\n", "")).toEqual(["-a"]);
  expect(shown("a\n", "a\n")).toEqual([" a"]);
  expect(shown("a\na\nb\n", "a\nb\n")).toEqual([" a", "-a", " b"]);
});

test("both sides can be read back from any comparison", () => {
  let seed = 7;
  const next = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % below;
  };
  const text = () => Array.from({ length: next(12) }, () => `${next(4)}\n`).join("");
  for (let round = 0; round < 500; round++) {
    const [before, after] = [text(), text()];
    const lines = compareLines(before, after);
    const side = (not: string) =>
      lines
        .filter((line) => line.sign !== not)
        .map((line) => `${line.text}\n`)
        .join("");
    expect(side("added")).toBe(before);
    expect(side("removed")).toBe(after);
  }
});
