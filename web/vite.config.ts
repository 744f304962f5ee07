import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// Everything that the page loads is a file of its own: the policy that it is served with allows nothing inline.
export default defineConfig({
  base: "/console/",
  plugins: [react(), tailwind(), keepIgnoreFile()],
  build: {
    outDir: "dist",
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 700,
  },
  test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node" },
});

/** The folder is part of the repository, empty: the build of `heddled` watches it. */
function keepIgnoreFile() {
  return {
    name: "keep-ignore-file",
    generateBundle(this: { emitFile(file: object): void }) {
      this.emitFile({ type: "asset", fileName: ".gitignore", source: "*\n!.gitignore\n" });
    },
  };
}
