// The typed client of the public API, made from its OpenAPI document. The console has no other way to the server.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";
import { session } from "./session";

export type Schemas = components["schemas"];

export const api = createClient<paths>({ baseUrl: location.origin, cache: "no-store" });

api.use({
  async onRequest({ request }) {
    if (request.headers.has("authorization")) return request;
    const token = await session.fresh();
    if (token !== null) request.headers.set("authorization", `Bearer ${token}`);
    return request;
  },
  onResponse({ request, response }) {
    // A session that was ended, a token that was revoked or has expired: back to the sign-in, and there the reason.
    const ours = request.headers.get("authorization") === `Bearer ${session.token()}`;
    if (response.status === 401 && ours) session.end(true);
    return response;
  },
});
