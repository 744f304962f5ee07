// Whom the workloads of a mesh trust: the rotations of its authorities, and who is revoked.
import { queryOptions } from "@tanstack/react-query";
import { api, type Schemas } from "./client";
import { liveInterval } from "./pace";
import { good } from "./problem";
import { all, ORG } from "./queries";

export type Rotation = Schemas["Rotation"];
export type Authority = Schemas["Authority"];
export type Revocation = Schemas["Revocation"];

/** What a proxy acknowledges moves a rotation, and is no news by itself. */
const UNDER_WAY = 2_000;

export const rotationsQuery = (mesh: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "rotations"],
    queryFn: ({ signal }) =>
      all<Rotation>((query) =>
        good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/rotations", {
            params: { path: { org: ORG, mesh }, query },
            signal,
          }),
        ),
      ),
    refetchInterval: liveInterval,
  });

/** One, with where each proxy stands. */
export const rotationQuery = (mesh: string, rotation: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "rotations", rotation],
    queryFn: ({ signal }) =>
      good(
        api.GET("/v1/orgs/{org}/meshes/{mesh}/rotations/{rotation}", {
          params: { path: { org: ORG, mesh, rotation } },
          signal,
        }),
      ),
    refetchInterval: UNDER_WAY,
  });

export const revocationsQuery = (mesh: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "revocations"],
    queryFn: ({ signal }) =>
      all<Revocation>((query) =>
        good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/revocations", {
            params: { path: { org: ORG, mesh }, query },
            signal,
          }),
        ),
      ),
    refetchInterval: liveInterval,
  });

export const authoritiesQuery = (mesh: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "authorities"],
    queryFn: ({ signal }) =>
      all<Authority>((query) =>
        good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/authorities", {
            params: { path: { org: ORG, mesh }, query },
            signal,
          }),
        ),
      ),
    refetchInterval: liveInterval,
  });
