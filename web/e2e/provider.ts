// A real identity provider beside the Heddle of all tests.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "./ports.ts";
import { until } from "./until.ts";

const root = join(import.meta.dirname, "../..");

export interface Provider {
  issuer: string;
  client: string;
  secret: string;
}

/** Makes the certificate that the provider will have; Heddle has to know it from the start. */
export function plan(directory: string): { certificate: string; key: string } {
  const [certificate, key] = [join(directory, "provider.pem"), join(directory, "provider.key")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const names = ["-subj", "/CN=provider", "-addext", "subjectAltName=IP:127.0.0.1"];
  const leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
  execFileSync(
    "openssl",
    ["req", "-x509", ...curve, "-keyout", key, "-out", certificate, "-days", "1", ...names, ...leaf],
    { stdio: "ignore" },
  );
  return { certificate, key };
}

/** Starts it for a client that is sent back there. */
export async function startProvider(
  { certificate, key }: ReturnType<typeof plan>,
  redirect: string,
): Promise<{ provider: Provider; child: ChildProcess }> {
  const packages = join(root, ".tools/oidc");
  if (!existsSync(packages)) throw new Error("no identity provider: run scripts/setup --test");
  const port = await freePort();
  const provider = { issuer: `https://127.0.0.1:${port}`, client: "heddle", secret: "only-for-tests" };
  const clients = JSON.stringify([
    { client_id: provider.client, client_secret: provider.secret, redirect_uris: [redirect] },
  ]);
  const script = join(root, "tests/oidc/provider.mjs");
  const args = [script, packages, String(port), certificate, key, clients];
  const child = spawn("node", args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  await until("the identity provider listens", 60_000, () => {
    if (child.exitCode !== null) throw new Error(output);
    return output.includes("listening");
  });
  return { provider, child };
}
