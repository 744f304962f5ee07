// One mesh: what needs attention, then what there is.

import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { ArrowRight, CircleCheck, Plug, Settings2, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { revisionQuery } from "../api/history";
import { meshQuery, proxiesQuery, servicesQuery } from "../api/queries";
import type { Mesh, ProxyView, Service } from "../api/types";
import { called } from "../shell/shell";
import { Card, CardTitle, Facts, linkButton, Mono, PageHead } from "../ui/basics";
import { Empty, Loaded } from "../ui/states";
import { Ago } from "../ui/time";
import { ConnectLink } from "./connect-link";
import { byService, count, explain } from "./health";
import { Health } from "./home";
import { ServiceRows } from "./services";

/** Of a long list the beginning; the rest is one click away. */
const SHOWN = 8;

export function MeshOverview() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh" });
  const query = useQuery(meshQuery(mesh));
  const services = useQuery(servicesQuery(mesh));
  const proxies = useQuery(proxiesQuery(mesh));
  return (
    <>
      <title>{`${mesh} · Heddle`}</title>
      <PageHead
        title={query.data?.display_name ?? mesh}
        badge={
          proxies.data && services.data && services.data.length > 0 && <Health counts={count(proxies.data)} />
        }
        actions={
          <>
            <Link to="/meshes/$mesh/settings" params={{ mesh }} className={linkButton()}>
              <Settings2 aria-hidden className="size-4" /> Settings
            </Link>
            <ConnectLink mesh={mesh} />
          </>
        }
      />
      <Loaded query={query} what="mesh">
        {(found) => (
          <div className="space-y-6">
            <Loaded query={services} what="services">
              {(list) =>
                list.length === 0 ? (
                  <>
                    <FirstSteps mesh={mesh} />
                    <About mesh={found} />
                  </>
                ) : (
                  <Loaded query={proxies} what="proxies">
                    {(all) => <Inventory mesh={found} services={list} proxies={all} />}
                  </Loaded>
                )
              }
            </Loaded>
          </div>
        )}
      </Loaded>
    </>
  );
}

function FirstSteps({ mesh }: { mesh: string }) {
  return (
    <Empty
      icon={<Plug />}
      title="This mesh has no service yet"
      action={
        <Link to="/meshes/$mesh/services/new" params={{ mesh }} className={linkButton("primary")}>
          Add the first service
        </Link>
      }
    >
      Name a service and the port that it listens on. Then connect an Envoy beside each of its instances.
    </Empty>
  );
}

function Inventory({ mesh, services, proxies }: { mesh: Mesh; services: Service[]; proxies: ProxyView[] }) {
  const counts = count(proxies);
  const own = byService(proxies);
  const idle = services.filter((service) => !own.has(service.name)).length;
  const envoys = [...new Set(proxies.flatMap((proxy) => proxy.envoy?.version ?? []))].sort();
  const troubles = [
    counts.nacked > 0 ? `${counts.nacked} rejecting` : "",
    counts.offline > 0 ? `${counts.offline} offline` : "",
    counts.behind > 0 ? `${counts.behind} catching up` : "",
  ].filter((text) => text !== "");
  return (
    <>
      <div className="grid grid-cols-4 gap-4">
        <Tile
          name="Proxies in sync"
          value={`${counts.ready} / ${counts.total}`}
          about={counts.total === 0 ? "none has joined yet" : troubles.join(", ") || "all up to date"}
        />
        <Tile
          name="Connected"
          value={`${counts.connected} / ${counts.total}`}
          about={envoys.length === 0 ? "no Envoy yet" : `Envoy ${envoys.join(", ")}`}
        />
        <Tile
          name="Services"
          value={services.length}
          about={idle === 0 ? "each has a proxy" : `${idle} without a proxy`}
        />
        <Newest mesh={mesh} />
      </div>
      <Attention mesh={mesh.name} services={services} proxies={proxies} />
      <div className="grid items-start gap-6 2xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
        <section>
          <CardTitle
            aside={
              <Link
                to="/meshes/$mesh/services"
                params={{ mesh: mesh.name }}
                className="flex items-center gap-1 text-accent hover:underline"
              >
                All services <ArrowRight aria-hidden className="size-4" />
              </Link>
            }
          >
            Services
          </CardTitle>
          <ServiceRows mesh={mesh.name} services={services.slice(0, SHOWN)} proxies={proxies} />
        </section>
        <About mesh={mesh} />
      </div>
    </>
  );
}

/** The newest revision: who made it, and when. */
function Newest({ mesh }: { mesh: Mesh }) {
  const revision = String(mesh.status?.revision ?? mesh.meta.revision);
  const { data } = useQuery(revisionQuery(mesh.name, revision));
  return (
    <Tile
      name="Revision"
      value={
        <Link
          to="/meshes/$mesh/history/$revision"
          params={{ mesh: mesh.name, revision }}
          search={{}}
          className="hover:underline"
        >
          {revision}
        </Link>
      }
      about={
        data ? (
          <>
            by {called(data.author.actor)}, <Ago at={data.created_at} />
          </>
        ) : (
          "\u00a0"
        )
      }
    />
  );
}

function Tile({ name, value, about }: { name: string; value: ReactNode; about: ReactNode }) {
  return (
    <Card>
      <dl>
        <dt className="text-muted">{name}</dt>
        <dd className="mt-1 text-[1.7143rem] leading-8 font-semibold tracking-tight tabular-nums">{value}</dd>
        <dd className="mt-1 truncate text-[0.9286rem] text-muted">{about}</dd>
      </dl>
    </Card>
  );
}

interface Finding {
  key: string;
  title: string;
  detail: string;
  to: ReactNode;
}

function findings(mesh: string, services: Service[], proxies: ProxyView[]): Finding[] {
  const toProxy = (proxy: ProxyView) => (
    <Link to="/meshes/$mesh/proxies/$proxy" params={{ mesh, proxy: proxy.meta.uid }} className={linkButton()}>
      Look at the proxy
    </Link>
  );
  const found: Finding[] = [];
  for (const proxy of proxies.filter((one) => one.state === "nacked")) {
    for (const nack of (proxy.nacks ?? []).slice(0, 1)) {
      const text = explain(nack, proxy);
      found.push({
        key: `nack ${proxy.meta.uid}`,
        title: text.what,
        detail: [text.cause, text.keeps].filter(Boolean).join(" "),
        to: toProxy(proxy),
      });
    }
  }
  for (const service of services) {
    const own = proxies.filter((proxy) => proxy.service === service.name);
    if (own.length > 0 && own.every((proxy) => proxy.state === "offline")) {
      found.push({
        key: `down ${service.name}`,
        title: `No proxy of ${service.name} is connected`,
        detail: "Calls to this service have nowhere to go.",
        to: (
          <Link
            to="/meshes/$mesh/services/$service"
            params={{ mesh, service: service.name }}
            className={linkButton()}
          >
            Look at the service
          </Link>
        ),
      });
    } else {
      for (const proxy of own.filter((one) => one.state === "offline")) {
        found.push({
          key: `offline ${proxy.meta.uid}`,
          title: `${proxy.name} is offline`,
          detail: `Other proxies of ${service.name} take its calls.`,
          to: toProxy(proxy),
        });
      }
    }
  }
  return found;
}

function Attention({ mesh, services, proxies }: { mesh: string; services: Service[]; proxies: ProxyView[] }) {
  const found = findings(mesh, services, proxies);
  if (found.length === 0) {
    return (
      <Card className="flex items-center gap-4">
        <CircleCheck aria-hidden className="size-6 text-ok" />
        <div>
          <h2>Nothing needs attention</h2>
          <p className="text-muted">
            {proxies.length === 0
              ? "No proxy has connected yet."
              : "Every proxy is connected and has what was configured, or is getting it."}
          </p>
        </div>
      </Card>
    );
  }
  return (
    <Card flush>
      <div className="px-5 pt-5">
        <CardTitle
          aside={
            <Link
              to="/meshes/$mesh/proxies"
              params={{ mesh }}
              className="flex items-center gap-1 text-accent hover:underline"
            >
              All proxies <ArrowRight aria-hidden className="size-4" />
            </Link>
          }
        >
          Needs attention
        </CardTitle>
      </div>
      <ul>
        {found.slice(0, 20).map((finding) => (
          <li key={finding.key} className="flex items-center gap-4 border-t border-line px-5 py-4">
            <TriangleAlert aria-hidden className="size-5 shrink-0 text-bad" />
            <div className="min-w-0 flex-1">
              <p className="font-medium">{finding.title}</p>
              <p className="text-muted">{finding.detail}</p>
            </div>
            {finding.to}
          </li>
        ))}
      </ul>
      {found.length > 20 && (
        <p className="border-t border-line px-5 py-3 text-muted">And {found.length - 20} more.</p>
      )}
    </Card>
  );
}

function About({ mesh }: { mesh: Mesh }) {
  return (
    <Card>
      <CardTitle>About this mesh</CardTitle>
      <Facts
        items={[
          ["Name", <Mono key="name">{mesh.name}</Mono>],
          ["Trust domain", <Mono key="domain">{String(mesh.status?.trust_domain ?? "–")}</Mono>],
          ["A call without a rule", (mesh.access_default ?? "deny") === "deny" ? "is denied" : "is allowed"],
          ["Created", <Ago key="created" at={mesh.meta.created_at} />],
          ["Identifier", <Mono key="uid">{mesh.meta.uid}</Mono>],
        ]}
      />
    </Card>
  );
}
