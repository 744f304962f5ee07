// An identity provider over TLS, as tests need one: whoever names an account and types anything as password is it.
//   node provider.mjs PACKAGES PORT CERTIFICATE KEY CLIENTS
// PACKAGES is where the package is installed; CLIENTS is JSON: a list of clients, as the package takes them.
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [packages, port, certificate, key, clients] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(join(packages, "node_modules/oidc-provider/lib/index.js")));

// By way of PEM: Node waits for itself for ever when it cleans up what has made a key while that key is written as a JWK.
const pem = { privateKeyEncoding: { type: "pkcs8", format: "pem" }, publicKeyEncoding: { type: "spki", format: "pem" } };
const jwk = (type, options, kid) => {
  const { privateKey } = generateKeyPairSync(type, { ...options, ...pem });
  return { ...createPrivateKey(privateKey).export({ format: "jwk" }), use: "sig", kid };
};
const provider = new Provider(`https://127.0.0.1:${port}`, {
  clients: JSON.parse(clients),
  jwks: {
    keys: [
      jwk("rsa", { modulusLength: 2048 }, "rsa"),
      jwk("ec", { namedCurve: "P-256" }, "ec"),
    ],
  },
  cookies: { keys: ["only for tests"] },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, name: id }),
  }),
  features: { devInteractions: { enabled: true } },
  ttl: { Session: 600, Interaction: 600, Grant: 600, AccessToken: 600, AuthorizationCode: 60, IdToken: 600 },
});
provider.on("server_error", (_, error) => console.error(error));

const tls = { cert: readFileSync(certificate), key: readFileSync(key) };
createServer(tls, provider.callback()).listen(Number(port), "127.0.0.1", () => console.log("listening"));
