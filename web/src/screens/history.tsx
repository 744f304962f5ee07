// Every accepted write to a mesh, newest first; any two can be compared.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { GitCompareArrows, X } from "lucide-react";
import { useState } from "react";
import { type Revision, revisionsQuery } from "../api/history";
import { called } from "../shell/shell";
import { Badge, Button, linkButton, PageHead } from "../ui/basics";
import { MeshCrumbs } from "../ui/crumbs";
import { useFilter } from "../ui/filter";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago } from "../ui/time";
import { Counts } from "./diff";
import { Quiet } from "./quiet";

export function History() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh/history" });
  const { group, set } = useFilter();
  const query = useInfiniteQuery(revisionsQuery(mesh, group));
  return (
    <>
      <title>{`History · ${mesh} · Heddle`}</title>
      <PageHead
        title="History"
        crumbs={<MeshCrumbs mesh={mesh} at="History" />}
        about="Every write that was accepted is a revision: who made it, why, and what it changed. Nothing here ever changes."
      />
      {group && (
        <p className="mb-4 flex items-center gap-2">
          <span className="text-muted">Only the change group</span>
          <Badge tone="accent">{group}</Badge>
          <Button kind="quiet" onClick={() => set({ group: undefined })}>
            <X aria-hidden className="size-4" /> Show all
          </Button>
        </p>
      )}
      <Loaded query={query} what="revisions">
        {({ pages }) => {
          const list = pages.flatMap((page) => page.items);
          if (list.length === 0)
            return <Empty title="No revision matches">There is no revision of that change group.</Empty>;
          return (
            <>
              <Revisions mesh={mesh} list={list} />
              {query.hasNextPage && (
                <div className="mt-4 text-center">
                  <Button disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                    {query.isFetchingNextPage ? "Loading older revisions…" : "Show older revisions"}
                  </Button>
                </div>
              )}
              {list.length === 1 && !group && (
                <div className="mt-4">
                  <Quiet>Nothing has changed since this mesh was created.</Quiet>
                </div>
              )}
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function Revisions({ mesh, list }: { mesh: string; list: Revision[] }) {
  const newest = list[0]?.revision ?? 1;
  const [from, setFrom] = useState<number | null>(null);
  const [to, setTo] = useState<number | null>(null);
  const { set } = useFilter();
  const [a, b] = [from ?? Math.max(newest - 1, 0), to ?? newest];
  const choice = (side: "from" | "to", revision: number) => (
    <input
      type="radio"
      name={side}
      aria-label={side === "from" ? `Compare from revision ${revision}` : `Compare to revision ${revision}`}
      className="size-4 accent-accent"
      checked={(side === "from" ? a : b) === revision}
      onChange={() => (side === "from" ? setFrom(revision) : setTo(revision))}
    />
  );
  return (
    <>
      <div className="mb-4 flex justify-end">
        {a === b ? (
          <button type="button" disabled className={linkButton()} title="Choose two different revisions">
            <GitCompareArrows aria-hidden className="size-4" /> Compare
          </button>
        ) : (
          <Link
            to="/meshes/$mesh/history/$revision"
            params={{ mesh, revision: String(b) }}
            search={{ from: a }}
            className={linkButton()}
          >
            <GitCompareArrows aria-hidden className="size-4" /> Compare {a} with {b}
          </Link>
        )}
      </div>
      <Table
        label="Revisions"
        rows={list}
        id={(one) => String(one.revision)}
        columns={[
          {
            head: "Compare",
            cell: (one) => (
              <span className="flex gap-2">
                {choice("from", one.revision)}
                {choice("to", one.revision)}
              </span>
            ),
          },
          {
            head: "Revision",
            cell: (one) => (
              <Link
                to="/meshes/$mesh/history/$revision"
                params={{ mesh, revision: String(one.revision) }}
                search={{}}
                className="font-medium text-accent hover:underline"
              >
                {one.revision}
              </Link>
            ),
          },
          {
            head: "Why",
            wide: true,
            cell: (one) => (
              <span className="flex items-center gap-2">
                <Why revision={one} />
                {one.change_group && (
                  <button
                    type="button"
                    title="Only this change group"
                    onClick={() => set({ group: one.change_group })}
                  >
                    <Badge tone="accent">{one.change_group}</Badge>
                  </button>
                )}
              </span>
            ),
          },
          { head: "Objects", cell: (one) => <Counts summary={one.summary} /> },
          { head: "By", cell: (one) => called(one.author.actor) },
          { head: "When", cell: (one) => <Ago at={one.created_at} /> },
        ]}
      />
    </>
  );
}

/** In its author's words, or what the server knows of it. */
export function Why({ revision }: { revision: Revision }) {
  const made =
    revision.rolled_back_to !== undefined
      ? `Rolled back to revision ${revision.rolled_back_to}`
      : revision.reverted !== undefined
        ? `Took back revision ${revision.reverted}`
        : null;
  if (revision.message) return <span className="line-clamp-2">{revision.message}</span>;
  if (made) return <span>{made}</span>;
  return <span className="text-muted">no reason given</span>;
}
