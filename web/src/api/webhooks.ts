// Where the organisation is told what happens in it, and what it was told there.
import { queryOptions } from "@tanstack/react-query";
import { api, type Schemas } from "./client";
import { liveInterval } from "./pace";
import { good } from "./problem";
import { all, ORG } from "./queries";

export type Webhook = Schemas["Webhook"];
export type Delivery = Schemas["WebhookDelivery"];
export type Topic = Schemas["WebhookTopic"];

export const topics: [Topic, string][] = [
  ["revision", "Every revision of every mesh"],
  ["audit", "Every row of the audit log"],
];

const path = { org: ORG };

export const webhooksQuery = () =>
  queryOptions({
    queryKey: ["webhooks"],
    queryFn: ({ signal }) =>
      all<Webhook>((query) =>
        good(api.GET("/v1/orgs/{org}/webhooks", { params: { path, query: query as never }, signal })),
      ),
    refetchInterval: liveInterval,
  });

export const webhookQuery = (webhook: string) =>
  queryOptions({
    queryKey: ["webhooks", webhook],
    queryFn: ({ signal }) =>
      good(api.GET("/v1/orgs/{org}/webhooks/{webhook}", { params: { path: { ...path, webhook } }, signal })),
    refetchInterval: liveInterval,
  });

/** How many are looked at: those before are read by the API. */
export const NEWEST = 200;

export const deliveriesQuery = (webhook: string) =>
  queryOptions({
    queryKey: ["webhooks", webhook, "deliveries"],
    queryFn: async ({ signal }) => {
      const query = { limit: NEWEST };
      const page = await good(
        api.GET("/v1/orgs/{org}/webhooks/{webhook}/deliveries", {
          params: { path: { ...path, webhook }, query },
          signal,
        }),
      );
      return page.items as Delivery[];
    },
    refetchInterval: liveInterval,
  });
