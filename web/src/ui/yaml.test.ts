import { expect, test } from "vitest";
import { parse } from "yaml";
import { yaml } from "./yaml.ts";

const strings = [
  "",
  "a b",
  "true",
  "No",
  "1",
  "1.5s",
  "-x",
  "a: b",
  "#c",
  "it's",
  '"q"',
  "\n",
  "é",
  "/v1",
  "y",
  "null",
  "0x1",
  "a,b",
  "*",
  "@",
];

test("what is shown as YAML is what was meant", () => {
  const values: unknown[] = [
    ...strings,
    {
      kind: "split",
      weights: [
        { version: "v1", weight: 90 },
        { version: "v2", weight: 10 },
      ],
    },
    { a: { b: { c: [] }, d: {} }, e: [[1, 2], [{ f: [true, null] }]], "g h": 1 },
    Object.fromEntries(strings.map((text) => [text, text])),
    [],
    {},
  ];
  for (const value of values) expect(parse(yaml(value)), yaml(value)).toEqual(value);
});

test("a document reads as a person would write it", () => {
  expect(yaml({ kind: "split", mesh: "shop", weights: [{ version: "v1", weight: 90 }] })).toBe(
    "kind: split\nmesh: shop\nweights:\n  - version: v1\n    weight: 90\n",
  );
});
