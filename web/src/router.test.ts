import { createMemoryHistory } from "@tanstack/react-router";
import { expect, test, vi } from "vitest";
import { screens, states } from "../e2e/screens.ts";

test("every address of the router is tested in every state, and no other", async () => {
  const storage = { getItem: () => null, setItem: () => {}, removeItem: () => {} };
  vi.stubGlobal("sessionStorage", storage);
  vi.stubGlobal("location", { origin: "http://127.0.0.1" });
  const { makeRouter } = await import("./router.tsx");
  const router = makeRouter(createMemoryHistory());
  expect(Object.keys(screens).sort()).toEqual(Object.keys(router.routesByPath).sort());
  for (const [path, screen] of Object.entries(screens)) {
    expect(Object.keys(screen.states).sort(), path).toEqual([...states].sort());
  }
});
