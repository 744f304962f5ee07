import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { FileSearch, TriangleAlert } from "lucide-react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { proxyQuery } from "../api/queries";
import { useSave } from "../api/save";
import type { Advisory, Nack, ProxyView } from "../api/types";
import { ReadOnlyNote } from "../ui/access";
import { Callout, Card, CardTitle, CrumbArrow, Facts, linkButton, Mono, PageHead } from "../ui/basics";
import { DeleteButton } from "../ui/delete";
import { Loaded } from "../ui/states";
import { Ago } from "../ui/time";
import { explain } from "./health";
import { LastSeen, ProxyState } from "./proxy-state";
import { RevokeCard } from "./revoke";

export function ProxyDetail() {
  const { mesh, proxy } = useParams({ from: "/inside/meshes/$mesh/proxies/$proxy" });
  const query = useQuery(proxyQuery(mesh, proxy));
  const name = query.data?.name ?? proxy;
  return (
    <>
      <title>{`${name} · ${mesh} · Heddle`}</title>
      <PageHead
        title={query.data?.name ?? "Proxy"}
        badge={query.data && <ProxyState proxy={query.data} />}
        actions={
          <Link
            to="/meshes/$mesh/proxies/$proxy/config"
            params={{ mesh, proxy }}
            search={{}}
            className={linkButton()}
          >
            <FileSearch aria-hidden className="size-4" /> Effective configuration
          </Link>
        }
        crumbs={
          <>
            <Link to="/meshes/$mesh" params={{ mesh }} className="hover:text-ink">
              {mesh}
            </Link>
            <CrumbArrow />
            <Link to="/meshes/$mesh/proxies" params={{ mesh }} className="hover:text-ink">
              Proxies
            </Link>
          </>
        }
      />
      <ReadOnlyNote permission="proxies:write" />
      <Loaded query={query} what="proxy">
        {(found) => <Detail mesh={mesh} proxy={found} />}
      </Loaded>
    </>
  );
}

/** The highest of the releases that it takes to be rid of them all. */
function remedy(advisories: Advisory[]): string {
  const number = (release: string) => release.split(".").reduce((sum, part) => sum * 1000 + Number(part), 0);
  return advisories.reduce(
    (best, one) => (number(one.fixed_in) > number(best) ? one.fixed_in : best),
    "0.0.0",
  );
}

function Advisories({ version, advisories }: { version: string; advisories: Advisory[] }) {
  if (advisories.length === 0) return null;
  const many = advisories.length === 1 ? "a known hole" : `${advisories.length} known holes`;
  return (
    <Callout tone="warn" title={`Envoy ${version} has ${many}: upgrade to ${remedy(advisories)} or newer`}>
      <ul className="mt-1 space-y-2">
        {advisories.map((one) => (
          <li key={one.id}>
            <strong>{one.id}</strong> ({one.severity}, gone in {one.fixed_in}): {one.summary} {one.here}
          </li>
        ))}
      </ul>
    </Callout>
  );
}

function Detail({ mesh, proxy }: { mesh: string; proxy: ProxyView }) {
  const navigate = useNavigate();
  const path = { org: "-", mesh, proxy: proxy.meta.uid };
  const remove = useSave(
    () => good(api.DELETE("/v1/orgs/{org}/meshes/{mesh}/proxies/{proxy}", { params: { path } })),
    "Proxy forgotten",
    () => void navigate({ to: "/meshes/$mesh/proxies", params: { mesh } }),
  );
  return (
    <div className="space-y-6">
      {(proxy.nacks ?? []).map((nack) => (
        <Rejection key={`${nack.type} ${nack.resource}`} mesh={mesh} proxy={proxy} nack={nack} />
      ))}
      {proxy.state === "offline" && !proxy.revoked && (
        <Callout tone="warn" title="This proxy is not connected">
          What is shown is the last that was known. It keeps serving with the configuration that it has, and
          connects again by itself when it can reach Heddle.
        </Callout>
      )}
      <Advisories version={proxy.envoy?.version ?? ""} advisories={proxy.advisories ?? []} />
      <div className="grid gap-6 xl:grid-cols-2">
        <Card>
          <CardTitle>Configuration</CardTitle>
          <Facts
            items={[
              ["Mesh revision", proxy.revision.target],
              [
                "Acknowledged",
                proxy.revision.acked == null
                  ? "nothing yet"
                  : proxy.revision.acked === proxy.revision.target
                    ? `${proxy.revision.acked}, all of it`
                    : `${proxy.revision.acked}, ${proxy.revision.target - proxy.revision.acked} behind`,
              ],
              [
                "Still to acknowledge",
                (proxy.revision.pending_types ?? []).join(", ").toUpperCase() || "nothing",
              ],
            ]}
          />
        </Card>
        <Card>
          <CardTitle>About this proxy</CardTitle>
          <Facts
            items={[
              [
                "Service",
                <Link
                  key="service"
                  to="/meshes/$mesh/services/$service"
                  params={{ mesh, service: proxy.service }}
                  className="font-medium text-accent hover:underline"
                >
                  {proxy.service}
                </Link>,
              ],
              ["Version", proxy.version ?? "–"],
              ["Address", proxy.address ? <Mono key="address">{proxy.address}</Mono> : "–"],
              [
                "Ports",
                Object.entries(proxy.ports ?? {})
                  .map(([name, port]) => `${name}: ${port}`)
                  .join(", ") || "–",
              ],
              ["Envoy", proxy.envoy?.version ?? "–"],
              [
                "First joined",
                proxy.meta.first_joined_at ? <Ago key="joined" at={proxy.meta.first_joined_at} /> : "–",
              ],
              ["Last seen", <LastSeen key="seen" proxy={proxy} />],
              ["Identifier", <Mono key="uid">{proxy.meta.uid}</Mono>],
            ]}
          />
        </Card>
      </div>
      <RevokeCard
        mesh={mesh}
        of={{ service: proxy.service, proxy: { name: proxy.name, uid: proxy.meta.uid } }}
      />
      <Card>
        <CardTitle>Forget this proxy</CardTitle>
        <div className="flex items-center justify-between gap-6">
          <p className="text-muted">
            For an Envoy that is gone for good. With a reusable join token it may join again.
          </p>
          <DeleteButton
            what="proxy"
            verb="Forget"
            name={proxy.name}
            permission="proxies:write"
            consequence="It is disconnected and no longer listed. With a reusable join token it may join again."
            request={{ method: "DELETE", path: `/v1/orgs/-/meshes/${mesh}/proxies/${proxy.meta.uid}` }}
            remove={remove}
          />
        </div>
      </Card>
    </div>
  );
}

function Rejection({ mesh, proxy, nack }: { mesh: string; proxy: ProxyView; nack: Nack }) {
  const text = explain(nack, proxy);
  return (
    <section className="rounded-xl border border-bad/40 bg-surface p-5 shadow-card">
      <div className="flex items-start gap-4">
        <div aria-hidden className="rounded-lg bg-bad-soft p-2 text-bad">
          <TriangleAlert className="size-5" />
        </div>
        <div className="min-w-0 flex-1">
          <h2>{text.what}</h2>
          <p className="mt-0.5">{text.cause}</p>
          <p className="text-muted">{text.keeps}</p>
          <details className="mt-3">
            <summary className="w-fit text-muted hover:text-ink">What Envoy said</summary>
            <p className="mt-2 text-muted">
              {nack.code} · {nack.type} · <Mono>{nack.resource}</Mono> · <Ago at={nack.at} />
            </p>
            <pre className="mt-2 rounded-lg bg-sunken p-3 break-words whitespace-pre-wrap">{nack.raw}</pre>
          </details>
        </div>
        <ToCause mesh={mesh} cause={nack.cause} />
      </div>
    </section>
  );
}

function ToCause({ mesh, cause }: { mesh: string; cause: Nack["cause"] }) {
  if (!cause) return null;
  const [service, name] = cause.name.split("/");
  if (service === undefined || cause.kind === "mesh") return null;
  const params = { mesh, service };
  const word = cause.kind.replaceAll("_", " ");
  const look = linkButton("primary");
  if ((cause.kind === "route" || cause.kind === "split") && name !== undefined) {
    return (
      <Link
        to="/meshes/$mesh/services/$service/routes/$route"
        params={{ ...params, route: name }}
        className={look}
      >
        Correct the {word}
      </Link>
    );
  }
  if (cause.kind === "access_rule" && name !== undefined) {
    return (
      <Link
        to="/meshes/$mesh/services/$service/access/$rule"
        params={{ ...params, rule: name }}
        className={look}
      >
        Correct the {word}
      </Link>
    );
  }
  return (
    <Link to="/meshes/$mesh/services/$service/settings" params={params} className={look}>
      Correct the service
    </Link>
  );
}
