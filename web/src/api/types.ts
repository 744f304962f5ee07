// Shapes that the document leaves open (`object`), as the server sends them.
import type { Schemas } from "./client";

export type ProxyState = "connecting" | "ready" | "stale" | "nacked" | "offline";

export interface Nack {
  code: string;
  type: string;
  resource: string;
  at: string;
  cause?: { kind: string; name: string; pointer: string; revision: number } | null;
  /** Envoy's own words. */
  raw: string;
}

export type ProxyView = Omit<
  Schemas["Proxy"],
  "state" | "nacks" | "meta" | "envoy" | "revision" | "advisories"
> & {
  state: ProxyState;
  nacks?: Nack[];
  envoy?: { version?: string | null };
  advisories?: Advisory[];
  revision: { target: number; acked?: number | null; pending_types?: string[] };
  meta: { uid: string; join_token?: string; first_joined_at?: string; last_seen_at?: string | null };
};

export type Advisory = Schemas["Advisory"];

export type Mesh = Schemas["Mesh"] & {
  status?: { revision?: number; trust_domain?: string; [more: string]: unknown };
};

export type Service = Schemas["Service"];
export type Route = Schemas["Route"];
export type Split = Schemas["Split"];
export type AccessRule = Schemas["AccessRule"];
export type JoinToken = Schemas["JoinToken"];

export interface Whoami {
  org: { name: string; uid: string };
  actor: unknown;
  /** Null for a token that was made on the command line and belongs to nobody. */
  principal?: { kind: "member" | "service_account"; uid: string; email?: string; name?: string } | null;
  token?: { uid: string } | null;
  session?: { uid: string } | null;
  /** Null for who has roles at single meshes only. */
  role: string | null;
  /** In the whole organisation, and beyond that by the name of a mesh. */
  permissions: string[];
  meshes?: Record<string, string[]>;
  /** There is nothing that one may do but set up the second factor that the organisation asks for. */
  must_enrol_second_factor?: boolean;
  /** There is nothing that the session may do but link an account at the organisation's provider. */
  must_sign_in_by_sso?: boolean;
}
