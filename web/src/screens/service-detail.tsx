// One service: where its requests go, who may call it, what runs it.

import { useQueries, useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { Plus, Settings2 } from "lucide-react";
import type { ReactNode } from "react";
import {
  effectiveQuery,
  meshQuery,
  proxiesQuery,
  routesQuery,
  rulesQuery,
  serviceQuery,
  splitQuery,
  wouldDenyQuery,
} from "../api/queries";
import type { AccessRule, ProxyView, Route, Service, Split } from "../api/types";
import { ReadOnlyNote } from "../ui/access";
import { ActionLink } from "../ui/action-link";
import { Badge, Card, CardTitle, Facts, linkButton, Mono, PageHead } from "../ui/basics";
import { ServiceCrumbs } from "../ui/crumbs";
import { Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago } from "../ui/time";
import { ConnectLink } from "./connect-link";
import { EffectiveSettings } from "./effective";
import { Modes } from "./mtls";
import { callerText } from "./plain-callers";
import { ProxyState } from "./proxy-state";
import { Quiet } from "./quiet";
import { RevokeCard } from "./revoke";
import { ProxySummary } from "./services";
import { ShareBar } from "./shares";
import { backendText, matchText, ruleCallers, ruleTargets } from "./words";

export function ServiceDetail() {
  const { mesh, service } = useParams({ from: "/inside/meshes/$mesh/services/$service" });
  const query = useQuery(serviceQuery(mesh, service));
  const proxies = useQuery(proxiesQuery(mesh));
  const own = proxies.data?.filter((proxy) => proxy.service === service);
  return (
    <>
      <title>{`${service} · ${mesh} · Heddle`}</title>
      <PageHead
        title={query.data?.display_name ?? service}
        badge={query.data && <ProxySummary proxies={own} />}
        crumbs={<ServiceCrumbs mesh={mesh} service={service} />}
        actions={
          <>
            <Link
              to="/meshes/$mesh/services/$service/settings"
              params={{ mesh, service }}
              className={linkButton()}
            >
              <Settings2 aria-hidden className="size-4" /> Settings
            </Link>
            <ConnectLink mesh={mesh} service={service} kind="plain" />
          </>
        }
      />
      <ReadOnlyNote permission="config:write" />
      <Loaded query={query} what="service">
        {(found) => (
          <div className="grid items-start gap-x-8 gap-y-6 2xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
            <div className="min-w-0 space-y-6">
              <Routes mesh={mesh} service={service} />
              <Rules mesh={mesh} service={service} />
              <EffectiveSettings mesh={mesh} service={service} />
            </div>
            <div className="min-w-0 space-y-6">
              <Instances mesh={mesh} service={service} proxies={own} />
              <About mesh={mesh} service={found} />
              <RevokeCard mesh={mesh} of={{ service }} />
            </div>
          </div>
        )}
      </Loaded>
    </>
  );
}

function Routes({ mesh, service }: { mesh: string; service: string }) {
  const routes = useQuery(routesQuery(mesh, service));
  const splits = useQueries({
    queries: (routes.data ?? []).map((route) => splitQuery(mesh, service, route.name)),
  });
  const add = (
    <ActionLink
      permission="config:write"
      kind="plain"
      link={(className, children) => (
        <Link
          to="/meshes/$mesh/services/$service/routes/new"
          params={{ mesh, service }}
          className={className}
        >
          {children}
        </Link>
      )}
    >
      <Plus aria-hidden className="size-4" /> Add route
    </ActionLink>
  );
  return (
    <section>
      <CardTitle aside={add}>Routes</CardTitle>
      <Loaded query={routes} what="routes" rows={2}>
        {(list) =>
          list.length === 0 ? (
            <Quiet>Without a route, every request goes to all instances in equal shares.</Quiet>
          ) : (
            <ol className="space-y-3">
              {list.map((route, index) => (
                <li key={route.name}>
                  <RouteCard mesh={mesh} service={service} route={route} split={splits[index]?.data} />
                </li>
              ))}
            </ol>
          )
        }
      </Loaded>
    </section>
  );
}

function RouteCard({
  mesh,
  service,
  route,
  split,
}: {
  mesh: string;
  service: string;
  route: Route;
  split: Split | null | undefined;
}) {
  return (
    <Card flush className="relative px-5 py-4 hover:border-edge/60">
      <div className="flex items-center justify-between gap-6">
        <div className="min-w-0">
          <Link
            to="/meshes/$mesh/services/$service/routes/$route"
            params={{ mesh, service, route: route.name }}
            className="font-semibold after:absolute after:inset-0 after:rounded-xl"
          >
            {route.display_name ?? route.name}
          </Link>
          <p className="text-muted">{matchText(route)}</p>
        </div>
        <div className="w-80 shrink-0">
          {split ? (
            <ShareBar weights={split.weights} />
          ) : (
            <p className="text-right text-muted">
              {split === undefined ? "\u00a0" : `to ${backendText(route, service)}`}
            </p>
          )}
        </div>
      </div>
    </Card>
  );
}

function Rules({ mesh, service }: { mesh: string; service: string }) {
  const rules = useQuery(rulesQuery(mesh, service));
  const { data: found } = useQuery(meshQuery(mesh));
  const fallback = (found?.access_default ?? "deny") === "deny" ? "denied" : "allowed";
  const add = (
    <ActionLink
      permission="access:write"
      kind="plain"
      link={(className, children) => (
        <Link
          to="/meshes/$mesh/services/$service/access/new"
          params={{ mesh, service }}
          className={className}
        >
          {children}
        </Link>
      )}
    >
      <Plus aria-hidden className="size-4" /> Add rule
    </ActionLink>
  );
  return (
    <section>
      <CardTitle aside={add}>Who may call it</CardTitle>
      <Loaded query={rules} what="access rules" rows={2}>
        {(list) =>
          list.length === 0 ? (
            <Quiet>No rules. In this mesh a call that no rule matches is {fallback}.</Quiet>
          ) : (
            <>
              <RuleTable mesh={mesh} rows={list.map((rule) => ({ service, rule }))} />
              <p className="mt-2 text-muted">
                Deny wins over every allow. A call that no rule matches is {fallback}.
              </p>
            </>
          )
        }
      </Loaded>
    </section>
  );
}

export function RuleTable({
  mesh,
  rows,
  callee,
}: {
  mesh: string;
  rows: { service: string; rule: AccessRule }[];
  callee?: boolean;
}) {
  return (
    <Table
      label="Access rules"
      rows={rows}
      id={(row) => `${row.service}/${row.rule.name}`}
      columns={[
        {
          head: "Effect",
          cell: ({ rule, service }) => (
            <span className="flex gap-1.5">
              <Badge tone={rule.action === "deny" ? "bad" : "ok"}>
                {rule.action === "deny" ? "Deny" : "Allow"}
              </Badge>
              {rule.report_only && <OnlyReports mesh={mesh} service={service} rule={rule} />}
              {rule.expires != null && Date.parse(rule.expires) <= Date.now() && (
                <Badge tone="warn">Expired</Badge>
              )}
            </span>
          ),
        },
        { head: "Callers", cell: ({ rule }) => ruleCallers(rule) },
        ...(callee ? [{ head: "Service", cell: (row: { service: string }) => row.service }] : []),
        { head: "Requests", wide: true, cell: ({ rule }) => ruleTargets(rule) },
        { head: "Why", cell: ({ rule }) => rule.reason ?? "–" },
        {
          head: "Rule",
          cell: ({ rule, service }) => (
            <Link
              to="/meshes/$mesh/services/$service/access/$rule"
              params={{ mesh, service, rule: rule.name }}
              className="font-medium text-accent hover:underline"
            >
              {rule.name}
            </Link>
          ),
        },
      ]}
    />
  );
}

/** A rule that decides nothing; of one that denies, how many requests it would have refused. */
function OnlyReports({ mesh, service, rule }: { mesh: string; service: string; rule: AccessRule }) {
  const query = useQuery({ ...wouldDenyQuery(mesh, service), enabled: rule.action === "deny" });
  const counted = query.data?.rules.find((one) => one.rule === rule.name);
  if (counted === undefined) return <Badge>Only reports</Badge>;
  const callers = counted.callers.map(
    (caller) =>
      `${caller.service ?? caller.spiffe ?? callerText(caller.address, caller.probably)}: ${caller.requests}`,
  );
  const about =
    callers.length === 0 ? "Nobody in the last seven days, as far as proxies have told" : callers.join(", ");
  return (
    <span title={about}>
      <Badge>
        {counted.requests === 0
          ? "Only reports: none so far"
          : `Only reports: would have refused at least ${counted.requests}`}
      </Badge>
    </span>
  );
}

function Instances({
  mesh,
  service,
  proxies,
}: {
  mesh: string;
  service: string;
  proxies: ProxyView[] | undefined;
}) {
  return (
    <section>
      <CardTitle>Instances</CardTitle>
      {proxies === undefined ? (
        <Quiet>Looking for its proxies…</Quiet>
      ) : proxies.length === 0 ? (
        <Quiet>
          Nothing runs it yet.{" "}
          <Link
            to="/meshes/$mesh/connect"
            params={{ mesh }}
            search={{ service }}
            className="font-medium text-accent underline underline-offset-2"
          >
            Connect a proxy
          </Link>{" "}
          beside each instance.
        </Quiet>
      ) : (
        <Table
          label="Instances"
          rows={proxies}
          id={(proxy) => proxy.meta.uid}
          columns={[
            {
              head: "Proxy",
              wide: true,
              cell: (proxy) => (
                <Link
                  to="/meshes/$mesh/proxies/$proxy"
                  params={{ mesh, proxy: proxy.meta.uid }}
                  className="font-medium text-accent hover:underline"
                >
                  {proxy.name}
                </Link>
              ),
            },
            { head: "Version", cell: (proxy) => proxy.version ?? "–" },
            { head: "Address", cell: (proxy) => (proxy.address ? <Mono>{proxy.address}</Mono> : "–") },
            { head: "State", cell: (proxy) => <ProxyState proxy={proxy} /> },
          ]}
        />
      )}
    </section>
  );
}

function About({ mesh, service }: { mesh: string; service: Service }) {
  const effective = useQuery(effectiveQuery(mesh, service.name));
  const local = effective.data?.local_ports ?? [];
  const modes = effective.data?.mtls ?? [];
  const hosts = [service.name, `${service.name}.${mesh}.mesh`, ...(service.hostnames ?? [])];
  return (
    <Card>
      <CardTitle>About this service</CardTitle>
      <Facts
        items={[
          ["Callers use", <Mono key="hosts">{hosts.join(", ")}</Mono>],
          ...local.map((one): [string, ReactNode] => [
            `Callers connect to ${one.port} at`,
            <Mono key={one.port}>{`127.0.0.1:${one.local_port}`}</Mono>,
          ]),
          ["Ports", service.ports.map((port) => `${port.name}: ${port.port} (${port.protocol})`).join(", ")],
          ...(modes.length === 0
            ? []
            : [["Mutual TLS", <Modes key="mtls" ports={modes} />] as [string, ReactNode]]),
          [
            "Last change",
            <span key="rev">
              <Link
                to="/meshes/$mesh/history/$revision"
                params={{ mesh, revision: String(service.meta.revision) }}
                search={{}}
                className="text-accent underline underline-offset-2"
              >
                revision {service.meta.revision}
              </Link>
              , <Ago at={service.meta.updated_at} />
            </span>,
          ],
          ["Identifier", <Mono key="uid">{service.meta.uid}</Mono>],
        ]}
      />
    </Card>
  );
}
