// How much the organisation has and uses.
import { queryOptions } from "@tanstack/react-query";
import { api, type Schemas } from "./client";
import { good } from "./problem";
import { ORG, SLOW } from "./queries";

export type Usage = Schemas["Usage"];
export type UsageDay = Schemas["UsageDay"];

export const usageQuery = () =>
  queryOptions({
    queryKey: ["usage"],
    queryFn: ({ signal }) =>
      good(api.GET("/v1/orgs/{org}/usage", { params: { path: { org: ORG } }, signal })),
    refetchInterval: SLOW,
  });
