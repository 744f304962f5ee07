// What stands in for data that is not there: not yet, not at all, or not to be had.
import type { UseQueryResult } from "@tanstack/react-query";
import { Lock, RotateCw, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { asProblem, type Problem, sentence } from "../api/problem";
import { Button } from "./basics";

export function Loading({ what, rows = 5 }: { what: string; rows?: number }) {
  return (
    <div
      role="status"
      data-state="loading"
      className="rounded-xl border border-line bg-surface p-5 shadow-card"
    >
      <p className="mb-4 text-muted">Loading {what}…</p>
      <div aria-hidden className="animate-pulse space-y-3">
        {Array.from({ length: rows }, (_, row) => (
          <div key={row} className="h-4 rounded bg-sunken" style={{ width: `${92 - ((row * 17) % 41)}%` }} />
        ))}
      </div>
    </div>
  );
}

export function Empty({
  title,
  children,
  action,
  icon,
}: {
  title: string;
  children: ReactNode;
  action?: ReactNode;
  icon?: ReactNode;
}) {
  return (
    <div
      data-state="empty"
      className="flex flex-col items-center rounded-xl border border-dashed border-line px-6 py-14 text-center"
    >
      {icon && (
        <div aria-hidden className="mb-4 rounded-xl bg-sunken p-3 text-muted [&>svg]:size-5">
          {icon}
        </div>
      )}
      <h2>{title}</h2>
      <p className="mt-1 max-w-[52ch] text-muted">{children}</p>
      {action && <div className="mt-5 flex flex-wrap items-center justify-center gap-3">{action}</div>}
    </div>
  );
}

/** What somebody names who asks about a problem. */
export function Reference({ problem }: { problem: Problem }) {
  if (!(problem.code ?? problem.requestId)) return null;
  return (
    <p className="mt-2 text-[0.8571rem] text-muted">
      {problem.code && <code>{problem.code}</code>}
      {problem.requestId && (
        <>
          {problem.code && " · "}request <code>{problem.requestId}</code>
        </>
      )}
    </p>
  );
}

export function Failed({ problem, what, retry }: { problem: Problem; what: string; retry?: () => void }) {
  const title =
    problem.status === 404
      ? `There is no such ${what}`
      : problem.status === 403
        ? "You may not see this"
        : problem.title;
  return (
    <div
      role="alert"
      data-state="error"
      className="flex items-start gap-4 rounded-xl border border-line bg-surface p-5 shadow-card"
    >
      <div aria-hidden className="rounded-lg bg-bad-soft p-2 text-bad">
        <TriangleAlert className="size-5" />
      </div>
      <div className="min-w-0 flex-1">
        <h2>{title}</h2>
        <p className="mt-0.5 text-muted">{problem.message}</p>
        {problem.violations.length > 0 && (
          <ul className="mt-2 list-disc pl-5">
            {problem.violations.map((violation) => (
              <li key={violation.pointer + violation.code}>
                <code>{violation.pointer}</code> {sentence(violation)}
              </li>
            ))}
          </ul>
        )}
        <Reference problem={problem} />
      </div>
      {retry && (
        <Button onClick={retry}>
          <RotateCw aria-hidden className="size-4" /> Try again
        </Button>
      )}
    </div>
  );
}

/** One query as a screen: its data, or why there is none. Data that could not be refreshed says so. */
export function Loaded<T>({
  query,
  what,
  rows,
  children,
}: {
  query: UseQueryResult<T, Error>;
  what: string;
  rows?: number;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) {
    return (
      <>
        {query.isError && <OutOfDate since={query.dataUpdatedAt} />}
        {children(query.data)}
      </>
    );
  }
  if (query.isError)
    return <Failed problem={asProblem(query.error)} what={what} retry={() => void query.refetch()} />;
  return <Loading what={what} rows={rows} />;
}

function OutOfDate({ since }: { since: number }) {
  return (
    <p role="status" className="mb-4 rounded-lg bg-warn-soft px-4 py-2.5 text-ink">
      Last known at {new Date(since).toLocaleTimeString()}: the server does not answer right now. Trying
      again.
    </p>
  );
}

/** Said once on a screen whose controls are disabled. */
export function ReadOnly({ permission, role }: { permission: string; role: string | null }) {
  return (
    <p
      data-state="read-only"
      className="mb-5 flex items-center gap-2.5 rounded-lg bg-sunken px-4 py-2.5 text-muted"
    >
      <Lock aria-hidden className="size-4 shrink-0" />
      <span>
        You can look at this but not change it:{" "}
        {role ? `your role, ${role}, lacks` : "what you may do here lacks"} the permission{" "}
        <code>{permission}</code>.
      </span>
    </p>
  );
}
