import { defineConfig } from "vitest/config";

// Real Chromium against a real `heddled up --demo` with real Envoys, which `server.ts` starts once.
export default defineConfig({
  root: import.meta.dirname,
  test: {
    include: ["**/*.e2e.ts"],
    globalSetup: ["server.ts"],
    testTimeout: 45_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    retry: 0,
  },
});
