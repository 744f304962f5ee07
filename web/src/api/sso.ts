// Off to an identity provider, and back. What proves that whoever comes back is who left stays in this tab: not in the address, and not
// where another tab or another site could bring it along.
import { queryOptions } from "@tanstack/react-query";
import { api, type Schemas } from "./client";
import { good } from "./problem";
import { all, ORG } from "./queries";

export type SsoConnection = Schemas["SsoConnection"];
export type Identity = Schemas["Identity"];
type Begun = Schemas["SsoSignIn"];

/** What the tab remembers of who left. */
export interface Away {
  org: string;
  connection: string;
  secret: string;
  /** A member links an account; otherwise somebody signs in. */
  link?: boolean;
  /** Where to go afterwards. */
  next?: string;
  /** The secret of an invitation that is accepted with this. */
  invitation?: string;
}

const KEY = "heddle.sso";

/** Remembers who leaves, and leaves. */
function leave(begun: Begun, more: Pick<Away, "link" | "next" | "invitation">) {
  const away: Away = { org: begun.org, connection: begun.connection.name, secret: begun.secret, ...more };
  sessionStorage.setItem(KEY, JSON.stringify(away));
  location.assign(begun.authorization_url);
}

/** Sends whoever signs in to a provider. */
export async function signInBy(
  body: Schemas["CreateSsoSignIn"],
  more: Pick<Away, "next" | "invitation">,
): Promise<void> {
  leave(await good(api.POST("/v1/sso-sign-ins", { body })), more);
}

/** Sends a member to a provider, to link an account there. */
export async function linkBy(connection: string): Promise<void> {
  const path = { org: ORG };
  const body = { connection };
  const begun = await good(api.POST("/v1/orgs/{org}/identities/requests", { params: { path }, body }));
  leave(begun, { link: true, next: "/account" });
}

/** Who left from this tab, once. */
export function cameBack(): Away | null {
  const kept = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  try {
    return JSON.parse(kept ?? "null");
  } catch {
    return null;
  }
}

/** What the address says that the provider sent somebody back to. */
export function answerOf(away: Away, connection: string, search: string): Schemas["CompleteSsoSignIn"] {
  const said = new URLSearchParams(search);
  const known = ["code", "iss", "error", "error_description"] as const;
  const more = known.flatMap((name) => {
    const value = said.get(name);
    return value === null ? [] : [[name, value]];
  });
  const { org, secret, invitation } = away;
  return {
    org,
    connection,
    secret,
    state: said.get("state") ?? "",
    ...(invitation === undefined ? {} : { invitation }),
    ...Object.fromEntries(more),
  };
}

/** What organisations are called: of anything else there is nothing to ask. */
const ORG_NAME = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** What members of an organisation can sign in with beside a password. */
export const optionsQuery = (org: string) =>
  queryOptions({
    queryKey: ["sso-options", org],
    queryFn: ({ signal }) => good(api.GET("/v1/sso-connections", { params: { query: { org } }, signal })),
    enabled: ORG_NAME.test(org),
    retry: false,
  });

const path = { org: ORG };

export const connectionsQuery = () =>
  queryOptions({
    queryKey: ["sso-connections"],
    queryFn: ({ signal }) =>
      all<SsoConnection>((query) =>
        good(api.GET("/v1/orgs/{org}/sso-connections", { params: { path, query: query as never }, signal })),
      ),
  });

/** What a member is known by. */
export const identitiesQuery = (member: string) =>
  queryOptions({
    queryKey: ["identities", member],
    queryFn: ({ signal }) =>
      all<Identity>((query) =>
        good(
          api.GET("/v1/orgs/{org}/identities", {
            params: { path, query: { ...query, member } as never },
            signal,
          }),
        ),
      ),
  });
