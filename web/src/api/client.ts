// The typed client of the public API, made from its OpenAPI document. The console has no other way to the server.
import createClient from "openapi-fetch";
import { again } from "./again";
import type { components, paths } from "./schema";
import { session } from "./session";

export type Schemas = components["schemas"];

/** A request that waits when the server wants its sender to sign in again, and is then sent once more. */
async function send(request: Request): Promise<Response> {
  const second = request.clone();
  const response = await fetch(request);
  if (!again.wanted(response) || !(await again.ask())) return response;
  second.headers.set("authorization", `Bearer ${session.token()}`);
  return fetch(second);
}

export const api = createClient<paths>({ baseUrl: location.origin, cache: "no-store", fetch: send });

const OPEN = [
  "/v1/sessions",
  "/v1/sessions/second-factors",
  "/v1/password-resets",
  "/v1/password-resets/completions",
  "/v1/invitations/lookups",
  "/v1/invitations/acceptances",
];

api.use({
  async onRequest({ request, schemaPath }) {
    // Whoever signs in shows a password, whoever has a link its secret, and no session that is there already.
    if (request.headers.has("authorization") || OPEN.includes(schemaPath)) return request;
    const token = await session.fresh();
    if (token !== null) request.headers.set("authorization", `Bearer ${token}`);
    return request;
  },
  onResponse({ request, response }) {
    // A session that was ended, a token that was revoked or has expired: back to the sign-in, and there the reason.
    const ours = request.headers.get("authorization") === `Bearer ${session.token()}`;
    if (response.status === 401 && ours && !again.wanted(response)) session.end(true);
    return response;
  },
});
