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

api.use({
  async onRequest({ request, schemaPath }) {
    // Whoever signs in shows a password, and no session that is there already.
    if (request.headers.has("authorization") || schemaPath === "/v1/sessions") return request;
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
