import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { curl } from "./show-as.tsx";

test("a shell reads the line as it was meant, whatever is in it", () => {
  const body = { reason: `it's $(touch /tmp/x) "quoted" \\ \n end`, from: [{ service: "a" }] };
  const line = curl(
    { method: "PUT", path: "/v1/x", body, ifMatch: '"r1-abc"', why: " it's für Ω " },
    "http://127.0.0.1:8080",
  ).replace(/^curl/, "show");
  const script = `HEDDLE_TOKEN=secret; show() { printf '%s\\0' "$@"; }; ${line}`;
  const words = execFileSync("sh", ["-c", script], { encoding: "utf8" }).split("\0").slice(0, -1);
  expect(words).toEqual([
    "-fsS",
    "-X",
    "PUT",
    "http://127.0.0.1:8080/v1/x",
    "-H",
    "Authorization: Bearer secret",
    "-H",
    'If-Match: "r1-abc"',
    "-H",
    "Heddle-Message: it's für Ω",
    "-H",
    "Content-Type: application/json",
    "-d",
    JSON.stringify(body),
  ]);
});
