// The history of a mesh: what is read of it.
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, type Schemas } from "./client";
import { good } from "./problem";

export type Revision = Schemas["Revision"];
export type ObjectChange = Schemas["ObjectChange"];
/** An object of any kind, with whatever its kind has. */
export type OldObject = Schemas["RevisionResource"] & { meta: { path?: string }; [field: string]: unknown };

const ORG = "-";
/** How many are read at first, and with each "older". */
const FIRST = 50;
const PAGE = 500;

export const revisionsQuery = (mesh: string, group: string | undefined) =>
  infiniteQueryOptions({
    queryKey: ["mesh", mesh, "revisions", group ?? ""],
    queryFn: ({ signal, pageParam }) =>
      good(
        api.GET("/v1/orgs/{org}/meshes/{mesh}/revisions", {
          params: {
            path: { org: ORG, mesh },
            query: { limit: FIRST, change_group: group, cursor: pageParam },
          },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor,
    // Older pages do not change; the newest is asked for again.
    refetchInterval: (query) => (query.state.data?.pages.length === 1 ? 5_000 : false),
  });

export const revisionQuery = (mesh: string, revision: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "revision", revision],
    queryFn: ({ signal }) =>
      good(
        api.GET("/v1/orgs/{org}/meshes/{mesh}/revisions/{revision}", {
          params: { path: { org: ORG, mesh, revision: revision as never } },
          signal,
        }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
  });

/** Who has a revision; asked for again until everybody has. */
export const rolloutQuery = (mesh: string, revision: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "rollout", revision],
    queryFn: ({ signal }) =>
      good(
        api.GET("/v1/orgs/{org}/meshes/{mesh}/revisions/{revision}/rollout", {
          params: { path: { org: ORG, mesh, revision: revision as never } },
          signal,
        }),
      ),
    refetchInterval: (query) => (query.state.data?.done ? 15_000 : 2_000),
  });

export interface Difference {
  from: number;
  to: number;
  summary: Schemas["RevisionSummary"];
  items: ObjectChange[];
}

/** What differs between two revisions; without `from`, from the one before. */
export const diffQuery = (mesh: string, to: string, from: number | undefined) =>
  queryOptions({
    queryKey: ["mesh", mesh, "diff", to, from ?? -1],
    queryFn: async ({ signal }): Promise<Difference> => {
      const items: ObjectChange[] = [];
      let cursor: string | undefined;
      for (;;) {
        const page = await good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/revisions/{revision}/diff", {
            params: {
              path: { org: ORG, mesh, revision: to as never },
              query: { limit: PAGE, from, cursor },
            },
            signal,
          }),
        );
        items.push(...page.items);
        if (page.next_cursor === undefined)
          return { from: page.from, to: page.to, summary: page.summary, items };
        cursor = page.next_cursor;
      }
    },
    staleTime: Number.POSITIVE_INFINITY,
  });

export const objectsQuery = (mesh: string, revision: string) =>
  queryOptions({
    queryKey: ["mesh", mesh, "objects", revision],
    queryFn: async ({ signal }) => {
      const items: OldObject[] = [];
      let cursor: string | undefined;
      for (;;) {
        const page = await good(
          api.GET("/v1/orgs/{org}/meshes/{mesh}/revisions/{revision}/resources", {
            params: {
              path: { org: ORG, mesh, revision: revision as never },
              query: { limit: PAGE, cursor },
            },
            signal,
          }),
        );
        items.push(...(page.items as OldObject[]));
        if (page.next_cursor === undefined)
          return items.sort((a, b) => (a.meta.path ?? "").localeCompare(b.meta.path ?? ""));
        cursor = page.next_cursor;
      }
    },
    staleTime: Number.POSITIVE_INFINITY,
  });

/** What going back would change, without doing it. */
export const rollbackPreview = (mesh: string, body: Schemas["CreateRollback"]) =>
  queryOptions({
    queryKey: ["mesh", mesh, "rollback", JSON.stringify(body)],
    queryFn: ({ signal }) =>
      good(
        api.POST("/v1/orgs/{org}/meshes/{mesh}/rollbacks", {
          params: { path: { org: ORG, mesh }, query: { dry_run: true } },
          body,
          signal,
        }),
      ),
    gcTime: 0,
  });
