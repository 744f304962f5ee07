// The typed client of the public API, made from its OpenAPI document. The console has no other way to the server.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";
import { session } from "./session";

export type Schemas = components["schemas"];

export const api = createClient<paths>({ baseUrl: location.origin, cache: "no-store" });

api.use({
  onRequest({ request }) {
    const token = session.token();
    if (token !== null && !request.headers.has("authorization")) {
      request.headers.set("authorization", `Bearer ${token}`);
    }
    return request;
  },
  onResponse({ request, response }) {
    // A token that was revoked or has expired: back to the sign-in, and there the reason.
    const ours = request.headers.get("authorization") === `Bearer ${session.token()}`;
    if (response.status === 401 && ours) session.end();
    return response;
  },
});
