// Who may call whom in a mesh: every rule of every service, and as a matrix.

import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { clsx } from "clsx";
import { Check, Minus, ShieldCheck, X } from "lucide-react";
import { allRulesQuery, meshQuery, servicesQuery } from "../api/queries";
import type { AccessRule } from "../api/types";
import { linkButton, PageHead } from "../ui/basics";
import { MeshCrumbs } from "../ui/crumbs";
import { SearchField, useFilter } from "../ui/filter";
import { Scroll } from "../ui/scroll";
import { Empty, Loaded } from "../ui/states";
import { type Judgement, judge } from "./judge";
import { RuleTable } from "./service-detail";
import { ruleCallers } from "./words";

type Row = { service: string; rule: AccessRule };
/** A matrix larger than this is not read but searched. */
const MATRIX = 20;

export function AccessScreen() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh/access" });
  const rules = useQuery(allRulesQuery(mesh));
  const services = useQuery(servicesQuery(mesh));
  const { data: found } = useQuery(meshQuery(mesh));
  const fallback = found?.access_default ?? "deny";
  return (
    <>
      <title>{`Access · ${mesh} · Heddle`}</title>
      <PageHead
        title="Access"
        crumbs={<MeshCrumbs mesh={mesh} at="Access" />}
        about={
          found
            ? `Who may call whom. Deny wins over every allow; a call that no rule matches is ${fallback === "deny" ? "denied" : "allowed"}.`
            : "\u00a0"
        }
      />
      <Loaded query={rules} what="access rules">
        {(rows) =>
          rows.length === 0 ? (
            <Empty
              icon={<ShieldCheck />}
              title="No access rules yet"
              action={
                <Link to="/meshes/$mesh/services" params={{ mesh }} className={linkButton("primary")}>
                  Choose a service
                </Link>
              }
            >
              A rule belongs to the service that is called. Until there is one, every call in this mesh is{" "}
              {fallback === "deny" ? "denied" : "allowed"}.
            </Empty>
          ) : (
            <Rules
              mesh={mesh}
              rows={rows}
              services={(services.data ?? []).map((one) => one.name)}
              fallback={fallback}
            />
          )
        }
      </Loaded>
    </>
  );
}

function Rules({
  mesh,
  rows,
  services,
  fallback,
}: {
  mesh: string;
  rows: Row[];
  services: string[];
  fallback: "allow" | "deny";
}) {
  const { q, set } = useFilter();
  const wanted = q?.toLowerCase() ?? "";
  const shown = rows.filter((row) =>
    [row.service, row.rule.name, ruleCallers(row.rule), row.rule.reason]
      .join(" ")
      .toLowerCase()
      .includes(wanted),
  );
  const named = services.filter(
    (service) =>
      wanted === "" ||
      shown.some(
        (row) =>
          row.service === service ||
          !row.rule.from ||
          row.rule.from.some((caller) => caller.service === service),
      ),
  );
  return (
    <div className="space-y-6">
      <SearchField label="Find a service or caller" q={q} set={(text) => set({ q: text })} />
      {shown.length === 0 ? (
        <Empty title="No rule matches">Change what you search for to see others.</Empty>
      ) : (
        <>
          {named.length <= MATRIX ? (
            <Matrix mesh={mesh} rows={rows} services={named} fallback={fallback} />
          ) : (
            <p className="text-muted">Search for a service to see its callers as a matrix.</p>
          )}
          <RuleTable mesh={mesh} rows={shown} callee />
        </>
      )}
    </div>
  );
}

const looks: Record<Judgement, { icon: typeof Check; tone: string; word: string }> = {
  allow: { icon: Check, tone: "text-ok bg-ok-soft", word: "allowed" },
  deny: { icon: X, tone: "text-bad bg-bad-soft", word: "denied by a rule" },
  some: { icon: Check, tone: "text-warn bg-warn-soft", word: "allowed in part" },
  default_deny: { icon: Minus, tone: "text-muted", word: "denied, no rule" },
  default_allow: { icon: Check, tone: "text-muted", word: "allowed, no rule" },
};

function Matrix({
  mesh,
  rows,
  services,
  fallback,
}: {
  mesh: string;
  rows: Row[];
  services: string[];
  fallback: "allow" | "deny";
}) {
  return (
    <Scroll
      label="Matrix of callers and services"
      className="rounded-xl border border-line bg-surface p-5 shadow-card"
    >
      <table className="border-collapse">
        <thead>
          <tr>
            <td className="pr-6 pb-2 text-[0.8571rem] text-muted">Caller ↓ calls →</td>
            {services.map((callee) => (
              <th key={callee} scope="col" className="px-2 pb-2 text-center font-medium">
                <Link
                  to="/meshes/$mesh/services/$service"
                  params={{ mesh, service: callee }}
                  className="hover:underline"
                >
                  {callee}
                </Link>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {services.map((caller) => (
            <tr key={caller}>
              <th scope="row" className="pr-6 text-left font-medium">
                {caller}
              </th>
              {services.map((callee) => {
                const look =
                  looks[
                    judge(
                      caller,
                      rows.filter((row) => row.service === callee).map((row) => row.rule),
                      fallback,
                    )
                  ];
                const Icon = look.icon;
                return (
                  <td key={callee} className="p-1 text-center">
                    {caller === callee ? (
                      <span className="text-muted">·</span>
                    ) : (
                      <span
                        title={`${caller} → ${callee}: ${look.word}`}
                        className={clsx(
                          "inline-flex h-8 w-14 items-center justify-center rounded-md",
                          look.tone,
                        )}
                      >
                        <Icon aria-hidden className="size-4" />
                        <span className="sr-only">{look.word}</span>
                      </span>
                    )}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      <ul className="mt-4 flex flex-wrap gap-x-5 gap-y-1 text-[0.9286rem] text-muted">
        {Object.values(looks)
          .filter((look) => look !== looks[fallback === "deny" ? "default_allow" : "default_deny"])
          .map(({ icon: Icon, tone, word }) => (
            <li key={word} className="flex items-center gap-2">
              <span
                aria-hidden
                className={clsx("inline-flex size-5 items-center justify-center rounded", tone)}
              >
                <Icon className="size-3.5" />
              </span>
              {word}
            </li>
          ))}
      </ul>
    </Scroll>
  );
}
