// One revision: who, why, and what differs from the one before or from any other.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ChevronLeft, ChevronRight, Files } from "lucide-react";
import { useState } from "react";
import { type Difference, diffQuery, type Revision, revisionQuery } from "../api/history";
import { meshQuery } from "../api/queries";
import { called } from "../shell/shell";
import { ReadOnlyNote } from "../ui/access";
import {
  Button,
  Card,
  CardTitle,
  CrumbArrow,
  type Fact,
  Facts,
  linkButton,
  Mono,
  PageHead,
} from "../ui/basics";
import { MeshCrumbs } from "../ui/crumbs";
import { Loaded } from "../ui/states";
import { Ago, moment } from "../ui/time";
import { device } from "./account";
import { Counts, DiffView } from "./diff";
import { Why } from "./history";
import { GoBack } from "./rollback";
import { RolloutCard } from "./rollout";

export function RevisionDetail() {
  const { mesh, revision } = useParams({ from: "/inside/meshes/$mesh/history/$revision" });
  const { from } = useSearch({ from: "/inside/meshes/$mesh/history/$revision" });
  const query = useQuery(revisionQuery(mesh, revision));
  const diff = useQuery(diffQuery(mesh, revision, from));
  return (
    <>
      <title>{`Revision ${revision} · ${mesh} · Heddle`}</title>
      <PageHead
        title={`Revision ${revision}`}
        crumbs={<RevisionCrumbs mesh={mesh} />}
        actions={query.data && <Neighbours mesh={mesh} revision={query.data.revision} />}
      />
      <ReadOnlyNote permission="config:write" />
      <Loaded query={query} what="revision">
        {(found) => (
          <div className="space-y-6">
            <About mesh={mesh} revision={found} />
            <RolloutCard mesh={mesh} revision={revision} />
            <section>
              <Loaded query={diff} what="difference">
                {(difference) => (
                  <>
                    <CardTitle
                      aside={
                        <CompareWith
                          key={difference.from}
                          mesh={mesh}
                          revision={found.revision}
                          from={difference.from}
                        />
                      }
                    >
                      <DiffTitle diff={difference} />
                    </CardTitle>
                    <DiffView mesh={mesh} diff={difference} />
                  </>
                )}
              </Loaded>
            </section>
          </div>
        )}
      </Loaded>
    </>
  );
}

export function RevisionCrumbs({ mesh, revision }: { mesh: string; revision?: string }) {
  return (
    <>
      <MeshCrumbs mesh={mesh} />
      <CrumbArrow />
      <Link to="/meshes/$mesh/history" params={{ mesh }} className="hover:text-ink">
        History
      </Link>
      {revision && (
        <>
          <CrumbArrow />
          <Link
            to="/meshes/$mesh/history/$revision"
            params={{ mesh, revision }}
            search={{}}
            className="hover:text-ink"
          >
            Revision {revision}
          </Link>
        </>
      )}
    </>
  );
}

function DiffTitle({ diff }: { diff: Difference }) {
  return (
    <span className="flex items-center gap-3">
      {diff.from === diff.to - 1 ? "What it changed" : `From revision ${diff.from} to ${diff.to}`}
      <Counts summary={diff.summary} />
    </span>
  );
}

function Neighbours({ mesh, revision }: { mesh: string; revision: number }) {
  const { data } = useQuery(meshQuery(mesh));
  const newest = data?.status?.revision ?? revision;
  const to = (n: number, icon: React.ReactNode, label: string) =>
    n < 1 || n > newest ? (
      <button type="button" disabled aria-label={label} className={linkButton()}>
        {icon}
      </button>
    ) : (
      <Link
        to="/meshes/$mesh/history/$revision"
        params={{ mesh, revision: String(n) }}
        search={{}}
        aria-label={label}
        className={linkButton()}
      >
        {icon}
      </Link>
    );
  return (
    <>
      <Link
        to="/meshes/$mesh/history/$revision/objects"
        params={{ mesh, revision: String(revision) }}
        className={linkButton()}
      >
        <Files aria-hidden className="size-4" /> The whole mesh then
      </Link>
      <GoBack mesh={mesh} revision={revision} newest={newest} />
      {to(revision - 1, <ChevronLeft aria-hidden className="size-4" />, "The revision before")}
      {to(revision + 1, <ChevronRight aria-hidden className="size-4" />, "The revision after")}
    </>
  );
}

function About({ mesh, revision }: { mesh: string; revision: Revision }) {
  return (
    <Card>
      <Facts
        items={[
          ["Why", <Why key="why" revision={revision} />],
          ["By", called(revision.author.actor)],
          [
            "When",
            <span key="when">
              <Ago at={revision.created_at} />, {moment(revision.created_at)}
            </span>,
          ],
          // What nobody said is no line.
          ...(revision.client
            ? [
                [
                  "With",
                  <span key="client" title={revision.client}>
                    {device(revision.client)}
                  </span>,
                ] satisfies Fact,
              ]
            : []),
          ...(revision.change_group
            ? [
                [
                  "Change group",
                  <Link
                    key="group"
                    to="/meshes/$mesh/history"
                    params={{ mesh }}
                    search={{ group: revision.change_group }}
                    className="text-accent underline underline-offset-2"
                  >
                    <Mono>{revision.change_group}</Mono>
                  </Link>,
                ] satisfies Fact,
              ]
            : []),
        ]}
      />
    </Card>
  );
}

function CompareWith({ mesh, revision, from }: { mesh: string; revision: number; from: number }) {
  const [other, setOther] = useState(String(from));
  const navigate = useNavigate();
  const valid = /^\d{1,9}$/.test(other) && Number(other) !== revision;
  return (
    <form
      data-reads
      className="flex items-center gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        if (!valid) return;
        void navigate({
          to: "/meshes/$mesh/history/$revision",
          params: { mesh, revision: String(revision) },
          search: Number(other) === revision - 1 ? {} : { from: Number(other) },
        });
      }}
    >
      <label htmlFor="compare-with" className="text-muted">
        Compare with revision
      </label>
      <input
        id="compare-with"
        inputMode="numeric"
        value={other}
        aria-invalid={!valid}
        onChange={(event) => setOther(event.target.value)}
        className="h-9 w-20 rounded-lg border border-edge/60 bg-surface px-3 text-right tabular-nums aria-invalid:border-bad"
      />
      <Button type="submit" disabled={!valid}>
        Compare
      </Button>
    </form>
  );
}
