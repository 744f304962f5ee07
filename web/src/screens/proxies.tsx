import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { clsx } from "clsx";
import { Server } from "lucide-react";
import { proxiesQuery } from "../api/queries";
import type { ProxyView, ProxyState as State } from "../api/types";
import { ReadOnlyNote } from "../ui/access";
import { Mono, PageHead } from "../ui/basics";
import { MeshCrumbs } from "../ui/crumbs";
import { SearchField, useFilter } from "../ui/filter";
import { Empty, Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { ConnectLink } from "./connect-link";
import { stateWord } from "./health";
import { LastSeen, ProxyState } from "./proxy-state";

/** Problems first. */
const order: State[] = ["nacked", "offline", "stale", "connecting", "ready"];

export function Proxies() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh/proxies" });
  const query = useQuery(proxiesQuery(mesh));
  const connect = <ConnectLink mesh={mesh} />;
  return (
    <>
      <title>{`Proxies · ${mesh} · Heddle`}</title>
      <PageHead title="Proxies" crumbs={<MeshCrumbs mesh={mesh} at="Proxies" />} actions={connect} />
      <ReadOnlyNote permission="join_tokens:write" />
      <Loaded query={query} what="proxies">
        {(list) =>
          list.length === 0 ? (
            <Empty icon={<Server />} title="No proxy has connected yet" action={connect}>
              Each instance of a service has an Envoy beside it that connects to this mesh with a join token.
            </Empty>
          ) : (
            <List mesh={mesh} proxies={list} />
          )
        }
      </Loaded>
    </>
  );
}

function List({ mesh, proxies }: { mesh: string; proxies: ProxyView[] }) {
  const { q, state, set } = useFilter();
  const wanted = q?.toLowerCase() ?? "";
  const found = proxies.filter((proxy) =>
    [proxy.name, proxy.service, proxy.version, proxy.address].join(" ").toLowerCase().includes(wanted),
  );
  const rows = found
    .filter((proxy) => state === undefined || proxy.state === state)
    .sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.name.localeCompare(b.name));
  return (
    <>
      <div className="mb-4 flex flex-wrap items-center gap-3">
        <SearchField label="Find a proxy or address" q={q} set={(text) => set({ q: text })} />
        <fieldset className="flex gap-1">
          <legend className="sr-only">State</legend>
          <Chip
            on={state === undefined}
            onClick={() => set({ state: undefined })}
            name="All"
            n={found.length}
          />
          {order
            .map((one) => ({ one, n: found.filter((proxy) => proxy.state === one).length }))
            .filter(({ one, n }) => n > 0 || state === one)
            .map(({ one, n }) => (
              <Chip
                key={one}
                on={state === one}
                onClick={() => set({ state: one })}
                name={stateWord[one]}
                n={n}
              />
            ))}
        </fieldset>
      </div>
      {rows.length === 0 ? (
        <Empty title="No proxy matches">Change what you search for to see others.</Empty>
      ) : (
        <Table
          label="Proxies"
          rows={rows}
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
            { head: "State", cell: (proxy) => <ProxyState proxy={proxy} /> },
            {
              head: "Service",
              cell: (proxy) => (
                <>
                  {proxy.service}
                  {proxy.version && <span className="text-muted"> {proxy.version}</span>}
                </>
              ),
            },
            { head: "Revision", cell: (proxy) => <Revision proxy={proxy} /> },
            { head: "Address", cell: (proxy) => (proxy.address ? <Mono>{proxy.address}</Mono> : "–") },
            { head: "Envoy", cell: (proxy) => <Envoy proxy={proxy} /> },
            {
              head: "Last seen",
              cell: (proxy) => <LastSeen proxy={proxy} />,
            },
          ]}
        />
      )}
    </>
  );
}

function Revision({ proxy }: { proxy: ProxyView }) {
  const { acked, target } = proxy.revision;
  if (acked == null) return "–";
  return acked === target ? acked : <span className="text-warn">{`${acked} of ${target}`}</span>;
}

function Envoy({ proxy }: { proxy: ProxyView }) {
  const holes = proxy.advisories?.length ?? 0;
  return (
    <>
      {proxy.envoy?.version ?? "–"}
      {holes > 0 && (
        <span className="block text-[0.8571rem] text-warn">
          {holes === 1 ? "1 known hole" : `${holes} known holes`}
        </span>
      )}
    </>
  );
}

function Chip({ on, onClick, name, n }: { on: boolean; onClick: () => void; name: string; n: number }) {
  return (
    <button
      type="button"
      aria-pressed={on}
      onClick={onClick}
      className={clsx(
        "h-9 rounded-lg px-3 font-medium",
        on ? "bg-accent-soft text-accent" : "text-muted hover:bg-sunken hover:text-ink",
      )}
    >
      {name} <span className="tabular-nums">{n}</span>
    </button>
  );
}
