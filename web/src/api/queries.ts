// Everything that is read, by key. Pages follow each other until the collection is whole: screens filter and sort it.
import { QueryCache, QueryClient, queryOptions } from "@tanstack/react-query";
import { api, type Schemas } from "./client";
import { liveInterval } from "./pace";
import { asProblem, good, goodWithEtag, Problem } from "./problem";
import type { AccessRule, JoinToken, Mesh, ProxyView, Route, Service, Split, Whoami } from "./types";

/** The organisation of the credential. */
export const ORG = "-";
/** What people change, not machines. */
export const SLOW = 15_000;
const PAGE = 500;

/** The organisation has begun to ask for a second factor, and this member has none: who one is says so, and the frame shows that alone. */
const ENROL_FIRST = "HED-2092";

export const queryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (error) => {
      if (asProblem(error).code === ENROL_FIRST) void queryClient.invalidateQueries({ queryKey: ["whoami"] });
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      // A form that somebody is filling in is not laid anew behind their back; lists ask by themselves.
      refetchOnWindowFocus: false,
      // What the server refused it will refuse again; only silence is worth another try.
      retry: (count, error) => count < 1 && asProblem(error).status === 0,
      retryDelay: 500,
    },
  },
});

type Page<T> = { items: T[]; next_cursor?: string };
type Paging = { limit: number; cursor?: string };

export async function all<T>(page: (query: Paging) => Promise<Page<unknown>>): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const got = await page({ limit: PAGE, cursor });
    items.push(...(got.items as T[]));
    cursor = got.next_cursor;
  } while (cursor !== undefined);
  return items;
}

export const whoamiQuery = () =>
  queryOptions({
    queryKey: ["whoami"],
    queryFn: async ({ signal }) => (await good(api.GET("/v1/whoami", { signal }))) as unknown as Whoami,
    staleTime: 60_000,
  });

export const meshesQuery = () =>
  queryOptions({
    queryKey: ["meshes"],
    queryFn: ({ signal }) =>
      all<Mesh>((query) =>
        good(
          api.GET("/v1/orgs/{org}/meshes", { params: { path: { org: ORG }, query: query as never }, signal }),
        ),
      ),
    refetchInterval: liveInterval,
  });

export const meshQuery = (mesh: string) =>
  queryOptions({
    queryKey: ["mesh", mesh],
    queryFn: async ({ signal }) =>
      (await good(
        api.GET("/v1/orgs/{org}/meshes/{mesh}", { params: { path: { org: ORG, mesh } }, signal }),
      )) as Mesh,
    refetchInterval: liveInterval,
  });

export const servicesQuery = (mesh: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "services"],
    queryFn: ({ signal }) =>
      all<Service>((query) =>
        good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/services", {
            params: { path: { org: ORG, mesh }, query: query as never },
            signal,
          }),
        ),
      ),
    refetchInterval: liveInterval,
  });

export const serviceQuery = (mesh: string, service: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "services", service],
    queryFn: ({ signal }) =>
      good(
        api.GET("/v1/orgs/{org}/meshes/{mesh}/services/{service}", {
          params: { path: { org: ORG, mesh, service } },
          signal,
        }),
      ),
  });

export const routesQuery = (mesh: string, service: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "services", service, "routes"],
    queryFn: async ({ signal }) => {
      const routes = await all<Route>((query) =>
        good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes", {
            params: { path: { org: ORG, mesh, service }, query: query as never },
            signal,
          }),
        ),
      );
      return routes.sort((a, b) => a.priority - b.priority);
    },
  });

export const routeQuery = (mesh: string, service: string, route: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "services", service, "routes", route],
    queryFn: ({ signal }) =>
      good(
        api.GET("/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes/{route}", {
          params: { path: { org: ORG, mesh, service, route } },
          signal,
        }),
      ),
  });

/** The split of a route, or null: most routes have none. */
export const splitQuery = (mesh: string, service: string, route: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "services", service, "routes", route, "split"],
    queryFn: async ({ signal }): Promise<Split | null> => {
      const path = { org: ORG, mesh, service, route };
      try {
        const call = api.GET("/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes/{route}/split", {
          params: { path },
          signal,
        });
        return (await goodWithEtag(call)).body;
      } catch (error) {
        if (error instanceof Problem && error.status === 404) return null;
        throw error;
      }
    },
  });

export const rulesQuery = (mesh: string, service: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "services", service, "access-rules"],
    queryFn: ({ signal }) =>
      all<AccessRule>((query) =>
        good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/services/{service}/access-rules", {
            params: { path: { org: ORG, mesh, service }, query: query as never },
            signal,
          }),
        ),
      ),
  });

export const ruleQuery = (mesh: string, service: string, rule: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "services", service, "access-rules", rule],
    queryFn: ({ signal }) =>
      good(
        api.GET("/v1/orgs/{org}/meshes/{mesh}/services/{service}/access-rules/{rule}", {
          params: { path: { org: ORG, mesh, service, rule } },
          signal,
        }),
      ),
  });

/** The rules of every service, with the service that each belongs to. */
export const allRulesQuery = (mesh: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "access-rules"],
    queryFn: async ({ signal }) => {
      const rules = await all<AccessRule>((query) =>
        good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/services/{service}/access-rules", {
            params: { path: { org: ORG, mesh, service: "-" }, query: query as never },
            signal,
          }),
        ),
      );
      return rules.map((rule) => ({ service: rule.meta.parent?.service ?? "", rule }));
    },
  });

export const proxiesQuery = (mesh: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "proxies"],
    queryFn: ({ signal }) =>
      all<ProxyView>((query) =>
        good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/proxies", {
            params: { path: { org: ORG, mesh }, query: query as never },
            signal,
          }),
        ),
      ),
    refetchInterval: liveInterval,
  });

export const proxyQuery = (mesh: string, proxy: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "proxies", proxy],
    queryFn: async ({ signal }) =>
      (await good(
        api.GET("/v1/orgs/{org}/meshes/{mesh}/proxies/{proxy}", {
          params: { path: { org: ORG, mesh, proxy } },
          signal,
        }),
      )) as unknown as ProxyView,
    refetchInterval: liveInterval,
  });

/** Everything that a proxy is told, and how far it is with it. */
export const proxyConfigQuery = (mesh: string, proxy: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "proxies", proxy, "config"],
    queryFn: async ({ signal }): Promise<Schemas["ProxyConfig"]> => {
      const items: Schemas["ProxyConfigResource"][] = [];
      let cursor: string | undefined;
      for (;;) {
        const page = await good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/proxies/{proxy}/config", {
            params: { path: { org: ORG, mesh, proxy }, query: { limit: PAGE, cursor } },
            signal,
          }),
        );
        items.push(...page.items);
        cursor = page.next_cursor;
        if (cursor === undefined) return { ...page, items };
      }
    },
    refetchInterval: liveInterval,
  });

export const joinTokensQuery = (mesh: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "join-tokens"],
    queryFn: ({ signal }) =>
      all<JoinToken>((query) =>
        good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/join-tokens", {
            params: { path: { org: ORG, mesh }, query: query as never },
            signal,
          }),
        ),
      ),
    refetchInterval: liveInterval,
  });

/** The sessions of one member that have not ended. */
export const sessionsQuery = (member: string) =>
  queryOptions({
    queryKey: ["sessions", member],
    queryFn: ({ signal }) =>
      all<Schemas["Session"]>((query) =>
        good(
          api.GET("/v1/orgs/{org}/sessions", {
            params: { path: { org: ORG }, query: { ...query, member } as never },
            signal,
          }),
        ),
      ),
    refetchInterval: SLOW,
  });

/** Every setting that is in force for a service, or for one of its routes, and who set it. */
/** Who calls a service in plain text, and whether anybody would have said so. */
export const readinessQuery = (mesh: string, service: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "services", service, "readiness"],
    queryFn: ({ signal }) =>
      good(
        api.GET("/v1/orgs/{org}/meshes/{mesh}/services/{service}/mtls/readiness", {
          params: { path: { org: ORG, mesh, service } },
          signal,
        }),
      ),
    refetchInterval: SLOW,
  });

/** Whom the rules of a service that only report would have refused. */
export const wouldDenyQuery = (mesh: string, service: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "services", service, "would-deny"],
    queryFn: ({ signal }) =>
      good(
        api.GET("/v1/orgs/{org}/meshes/{mesh}/services/{service}/access/would-deny", {
          params: { path: { org: ORG, mesh, service } },
          signal,
        }),
      ),
    refetchInterval: SLOW,
  });

export const effectiveQuery = (mesh: string, service: string, route?: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "services", service, "effective", route ?? ""],
    queryFn: async ({ signal }) => {
      const path = { org: ORG, mesh, service };
      const answer =
        route === undefined
          ? await good(
              api.GET("/v1/orgs/{org}/meshes/{mesh}/services/{service}/effective", {
                params: { path },
                signal,
              }),
            )
          : await good(
              api.GET("/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes/{route}/effective", {
                params: { path: { ...path, route } },
                signal,
              }),
            );
      return { items: answer.items, local_ports: answer.local_ports ?? [], mtls: answer.mtls };
    },
  });
