// Who there is in the organisation, and what each may call with.
import { queryOptions } from "@tanstack/react-query";
import { api, type Schemas } from "./client";
import { good } from "./problem";
import { all, ORG, SLOW } from "./queries";

export type Member = Schemas["Member"];
export type Invitation = Schemas["Invitation"];
export type ServiceAccount = Schemas["ServiceAccount"];
export type RoleBinding = Schemas["RoleBinding"];
export type ApiToken = Schemas["ApiToken"];
export type Role = Schemas["Role"];

/** From the strongest on. */
export const roles: Record<Role, string> = {
  owner: "Everything, other owners too.",
  admin: "Everything but making and removing owners.",
  operator: "Runs meshes; does not manage people.",
  developer: "Changes services, routes and splits.",
  viewer: "Reads configuration and proxies.",
  auditor: "Reads everything, people and their roles too.",
  issuer: "Gets certificates of services, and nothing else.",
};

const path = { org: ORG };

/** What a device without a browser asks for, by the code that it shows. */
export const deviceQuery = (code: string) =>
  queryOptions({
    queryKey: ["device", code],
    queryFn: ({ signal }) =>
      good(
        api.GET("/v1/orgs/{org}/device-authorizations/{user_code}", {
          params: { path: { ...path, user_code: code } },
          signal,
        }),
      ),
    // A code that leads to nothing is counted.
    retry: false,
  });

/** What is known of one's own second factor. */
export const secondFactorQuery = () =>
  queryOptions({
    queryKey: ["second-factor"],
    queryFn: ({ signal }) => good(api.GET("/v1/orgs/{org}/second-factor", { params: { path }, signal })),
  });

/** What the organisation asks of its members when they sign in. */
export const signInPolicyQuery = () =>
  queryOptions({
    queryKey: ["sign-in-policy"],
    queryFn: ({ signal }) => good(api.GET("/v1/orgs/{org}/sign-in-policy", { params: { path }, signal })),
  });

export const membersQuery = () =>
  queryOptions({
    queryKey: ["members"],
    queryFn: ({ signal }) =>
      all<Member>((query) =>
        good(api.GET("/v1/orgs/{org}/members", { params: { path, query: query as never }, signal })),
      ),
    refetchInterval: SLOW,
  });

export const invitationsQuery = () =>
  queryOptions({
    queryKey: ["invitations"],
    queryFn: ({ signal }) =>
      all<Invitation>((query) =>
        good(api.GET("/v1/orgs/{org}/invitations", { params: { path, query: query as never }, signal })),
      ),
    refetchInterval: SLOW,
  });

/** What an invitation is for, by the secret of its link. */
export const invitationQuery = (org: string, secret: string) =>
  queryOptions({
    queryKey: ["invitation", org, secret],
    queryFn: ({ signal }) => good(api.POST("/v1/invitations/lookups", { body: { org, secret }, signal })),
    // What leads to nothing is counted.
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
  });

export const accountsQuery = () =>
  queryOptions({
    queryKey: ["service-accounts"],
    queryFn: ({ signal }) =>
      all<ServiceAccount>((query) =>
        good(api.GET("/v1/orgs/{org}/service-accounts", { params: { path, query: query as never }, signal })),
      ),
    refetchInterval: SLOW,
  });

export const bindingsQuery = () =>
  queryOptions({
    queryKey: ["role-bindings"],
    queryFn: ({ signal }) =>
      all<RoleBinding>((query) =>
        good(api.GET("/v1/orgs/{org}/role-bindings", { params: { path, query: query as never }, signal })),
      ),
    refetchInterval: SLOW,
  });

export const tokensQuery = () =>
  queryOptions({
    queryKey: ["tokens"],
    queryFn: ({ signal }) =>
      all<ApiToken>((query) =>
        good(api.GET("/v1/orgs/{org}/tokens", { params: { path, query: query as never }, signal })),
      ),
    refetchInterval: SLOW,
  });
