// What an Envoy is told: every resource, how far the proxy is with it, and the object and field that it came from.
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { clsx } from "clsx";
import { FileSearch } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import type { Schemas } from "../api/client";
import { proxyConfigQuery } from "../api/queries";
import type { Nack } from "../api/types";
import { Badge, Callout, Card, CrumbArrow, Facts, Mono, PageHead, type Tone } from "../ui/basics";
import { Snippet } from "../ui/copy";
import { MeshCrumbs } from "../ui/crumbs";
import { SearchField, useFilter } from "../ui/filter";
import { useMore } from "../ui/more";
import { Segments } from "../ui/segments";
import { Empty, Loaded } from "../ui/states";
import { moment } from "../ui/time";
import { yaml } from "../ui/yaml";
import { explain } from "./health";
import { kindWord, ObjectLink, pathOf } from "./object-link";

type Config = Schemas["ProxyConfig"];
type Resource = Schemas["ProxyConfigResource"];
type Origin = Schemas["ProxyConfigOrigin"];

const tabs: { type: Resource["type"]; name: string; about: string }[] = [
  {
    type: "listener",
    name: "Listeners",
    about: "Ports that it listens on, and what it does with what arrives.",
  },
  { type: "route", name: "Routes", about: "Where requests go." },
  { type: "cluster", name: "Clusters", about: "The services that it reaches, and how." },
  { type: "endpoints", name: "Endpoints", about: "Where the instances of those services are." },
  { type: "secret", name: "Secrets", about: "Its certificate and what it trusts. A key is never shown." },
];

const states: Record<Resource["state"], { word: string; tone: Tone; about: string }> = {
  acked: { word: "In force", tone: "ok", about: "The proxy has acknowledged this version." },
  sent: { word: "On its way", tone: "warn", about: "Sent, and not yet acknowledged." },
  rejected: { word: "Rejected", tone: "bad", about: "The proxy refuses it, and keeps what it had." },
  computed: { word: "Not connected", tone: "neutral", about: "What it would get if it came back." },
};

export function ProxyConfig() {
  const { mesh, proxy } = useParams({ from: "/inside/meshes/$mesh/proxies/$proxy/config" });
  const query = useQuery(proxyConfigQuery(mesh, proxy));
  const name = query.data?.proxy ?? "Proxy";
  return (
    <>
      <title>{`Configuration of ${name} · ${mesh} · Heddle`}</title>
      <PageHead
        title="Effective configuration"
        about="Everything that Heddle tells this Envoy, worked out from the mesh as it is now, and the object that each part comes from."
        crumbs={
          <>
            <MeshCrumbs mesh={mesh} />
            <CrumbArrow />
            <Link to="/meshes/$mesh/proxies" params={{ mesh }} className="hover:text-ink">
              Proxies
            </Link>
            <CrumbArrow />
            <Link to="/meshes/$mesh/proxies/$proxy" params={{ mesh, proxy }} className="hover:text-ink">
              {name}
            </Link>
          </>
        }
      />
      <Loaded query={query} what="proxy">
        {(config) => <Parts mesh={mesh} config={config} />}
      </Loaded>
    </>
  );
}

function Parts({ mesh, config }: { mesh: string; config: Config }) {
  const { q, view, state, as, set } = useFilter();
  const tab = tabs.find((one) => one.type === view) ?? (tabs[0] as (typeof tabs)[number]);
  const wanted = q?.toLowerCase() ?? "";
  const texts = useMemo(
    () => new Map(config.items.map((one) => [one, JSON.stringify(one).toLowerCase()])),
    [config.items],
  );
  const found = config.items.filter(
    (one) =>
      (state === undefined || one.state === state) && (wanted === "" || texts.get(one)?.includes(wanted)),
  );
  const shown = found.filter((one) => one.type === tab.type);
  return (
    <div className="space-y-4">
      <Notices mesh={mesh} config={config} />
      <div className="flex flex-wrap items-center justify-between gap-3">
        <div className="flex flex-wrap items-center gap-3">
          <SearchField label="Find anything in it" q={q} set={(text) => set({ q: text })} />
          <Filter counts={config.counts} state={state} set={(next) => set({ state: next })} />
        </div>
        <Segments
          legend="Format"
          options={[
            ["yaml", "YAML"],
            ["json", "JSON"],
          ]}
          value={as === "json" ? "json" : "yaml"}
          set={(next) => set({ as: next === "json" ? "json" : undefined })}
        />
      </div>
      <nav aria-label="Kinds of resources" className="flex gap-1 border-b border-line">
        {tabs.map(({ type, name }) => {
          const own = found.filter((one) => one.type === type);
          const bad = own.some((one) => one.state === "rejected");
          return (
            <button
              key={type}
              type="button"
              aria-current={type === tab.type ? "true" : undefined}
              onClick={() => set({ view: type, open: undefined })}
              className={clsx(
                "-mb-px flex h-10 items-center gap-2 border-b-2 px-3 font-medium",
                type === tab.type
                  ? "border-accent text-accent"
                  : "border-transparent text-muted hover:text-ink",
              )}
            >
              {name}
              <span className={clsx("tabular-nums", bad ? "text-bad" : "font-normal text-muted")}>
                {own.length}
              </span>
            </button>
          );
        })}
      </nav>
      <p className="text-muted">{tab.about}</p>
      {shown.length === 0 ? (
        <Nothing config={config} tab={tab} searched={wanted !== "" || state !== undefined} />
      ) : (
        <Resources key={tab.type} mesh={mesh} proxy={config.proxy} list={shown} json={as === "json"} />
      )}
    </div>
  );
}

function Notices({ mesh, config }: { mesh: string; config: Config }) {
  const { computed, acked } = config.revision;
  return (
    <>
      {!config.connected && (
        <Callout tone="warn" title="This proxy is not connected">
          This is what it would get if it came back as it was. What it has now is not known.
        </Callout>
      )}
      {config.connected && acked !== computed && (
        <Callout tone="accent" title={`Worked out from revision ${computed}`}>
          {acked == null
            ? "The proxy has not acknowledged anything yet."
            : `Of everything in it, the proxy has acknowledged revision ${acked}.`}
        </Callout>
      )}
      {config.diagnostics.map((one) => (
        <Callout key={`${one.origin.uid} ${one.message}`} tone="warn" title={one.message}>
          <From mesh={mesh} origin={one.origin} />
        </Callout>
      ))}
    </>
  );
}

function Filter({
  counts,
  state,
  set,
}: {
  counts: Config["counts"];
  state: string | undefined;
  set: (state: string | undefined) => void;
}) {
  const there = (Object.keys(states) as Resource["state"][]).filter(
    (one) => (counts[one] ?? 0) > 0 || state === one,
  );
  if (there.length < 2 && state === undefined) {
    const only = there[0];
    return only === undefined ? null : (
      <span className="text-muted">
        All {counts[only]}: {states[only].word.toLowerCase()}
      </span>
    );
  }
  return (
    <Segments
      legend="State"
      options={[
        ["", "All"],
        ...there.map((one) => [one, `${states[one].word} ${counts[one] ?? 0}`] as [string, string]),
      ]}
      value={state ?? ""}
      set={(next) => set(next === "" ? undefined : next)}
    />
  );
}

function Nothing({
  config,
  tab,
  searched,
}: {
  config: Config;
  tab: (typeof tabs)[number];
  searched: boolean;
}) {
  const what = tab.name.toLowerCase();
  if (searched)
    return <Empty title={`No ${what} match`}>Change what you search for, or look at the other kinds.</Empty>;
  return (
    <Empty icon={<FileSearch />} title={`No ${what}`}>
      {!config.listeners_known && (tab.type === "listener" || tab.type === "route")
        ? "This proxy has never said how it is set up, so what its ports would do is not known. It says so when it connects."
        : "There is nothing of this kind in what the proxy is told."}
    </Empty>
  );
}

function Resources({
  mesh,
  proxy,
  list,
  json,
}: {
  mesh: string;
  proxy: string;
  list: Resource[];
  json: boolean;
}) {
  const { open, set } = useFilter();
  const [opened, setOpened] = useState(() => new Set(open === undefined ? [] : [open]));
  // Who follows a link to one sees it, wherever it stands.
  const [linked] = useState(open);
  const first = list.filter((one) => one.name === linked);
  const { shown, more } = useMore([...first, ...list.filter((one) => one.name !== linked)]);
  const toggle = (name: string, now: boolean) => {
    if (now === opened.has(name)) return;
    setOpened(new Set(now ? [...opened, name] : [...opened].filter((one) => one !== name)));
    if (now) set({ open: name });
    else if (open === name) set({ open: undefined });
  };
  return (
    <>
      <ul className="space-y-2">
        {shown.map((one) => (
          <li key={one.name}>
            <One
              mesh={mesh}
              proxy={proxy}
              resource={one}
              json={json}
              open={opened.has(one.name)}
              toggle={(now) => toggle(one.name, now)}
            />
          </li>
        ))}
      </ul>
      {more}
    </>
  );
}

function One({
  mesh,
  proxy,
  resource,
  json,
  open,
  toggle,
}: {
  mesh: string;
  proxy: string;
  resource: Resource;
  json: boolean;
  open: boolean;
  toggle: (open: boolean) => void;
}) {
  const state = states[resource.state];
  const element = useRef<HTMLDetailsElement>(null);
  const linked = useRef(open);
  useEffect(() => {
    if (linked.current) element.current?.scrollIntoView({ block: "nearest" });
  }, []);
  const whole = resource.origins.filter((one) => one.within === "");
  const parts = resource.origins.filter((one) => one.within !== "");
  return (
    <Card flush>
      <details ref={element} open={open} onToggle={(event) => toggle(event.currentTarget.open)}>
        <summary className="flex items-center gap-4 rounded-xl px-5 py-3 hover:bg-sunken/60">
          <span className="min-w-0 flex-1 truncate">
            <code className="font-medium">{resource.name}</code>
          </span>
          <span className="shrink-0 text-[0.8571rem] text-muted" title={`Version ${resource.version}`}>
            version <code>{resource.version.slice(0, 8)}</code>
          </span>
          <span title={state.about}>
            <Badge tone={state.tone} dot>
              {state.word}
            </Badge>
          </span>
        </summary>
        {open && (
          <div className="space-y-4 border-t border-line px-5 py-4">
            {resource.nack && <Refused proxy={proxy} nack={resource.nack as unknown as Nack} />}
            <Facts
              items={[
                [
                  "Comes from",
                  whole.length === 0 && parts.length === 0 ? (
                    "Heddle itself"
                  ) : (
                    <ul key="whole" className="space-y-1">
                      {[...whole, ...parts].map((one) => (
                        <li key={`${one.uid} ${one.pointer} ${one.within}`}>
                          <From mesh={mesh} origin={one} />
                        </li>
                      ))}
                    </ul>
                  ),
                ],
                ["Version", <Mono key="version">{resource.version}</Mono>],
              ]}
            />
            {resource.certificates?.map((one) => (
              <Certificate key={one.serial} certificate={one} />
            ))}
            {resource.config && (
              <Snippet
                label={`${resource.name} as ${json ? "JSON" : "YAML"}`}
                text={json ? JSON.stringify(resource.config, null, 2) : yaml(resource.config)}
              />
            )}
          </div>
        )}
      </details>
    </Card>
  );
}

function From({ mesh, origin }: { mesh: string; origin: Origin }) {
  return (
    <span>
      {origin.within !== "" && (
        <span className="text-muted">
          <code>{origin.within}</code> from{" "}
        </span>
      )}
      <span className="text-muted">{kindWord(origin.kind)} </span>
      <ObjectLink mesh={mesh} path={pathOf(origin.kind, origin.name)}>
        {origin.name === "" ? mesh : origin.name}
      </ObjectLink>
      {origin.pointer !== "" && (
        <>
          {" "}
          <code className="text-muted">{origin.pointer}</code>
        </>
      )}
      {origin.revision > 0 && (
        <span className="text-muted">
          , last changed in{" "}
          <Link
            to="/meshes/$mesh/history/$revision"
            params={{ mesh, revision: String(origin.revision) }}
            search={{}}
            className="text-accent underline underline-offset-2"
          >
            revision {origin.revision}
          </Link>
        </span>
      )}
    </span>
  );
}

function Refused({ proxy, nack }: { proxy: string; nack: Nack }) {
  const text = explain(nack, { name: proxy });
  return (
    <Callout tone="bad" title={text.what}>
      <p>{text.cause}</p>
      <pre className="mt-2 break-words whitespace-pre-wrap">{nack.raw}</pre>
    </Callout>
  );
}

function Certificate({ certificate }: { certificate: Schemas["ProxyConfigCertificate"] }) {
  return (
    <Facts
      items={[
        ["Is", certificate.use === "identity" ? "the proxy's own certificate" : "a root that it trusts"],
        ...(certificate.spiffe_id
          ? [["Identity", <Mono key="id">{certificate.spiffe_id}</Mono>] as [string, React.ReactNode]]
          : []),
        ["Serial number", <Mono key="serial">{certificate.serial}</Mono>],
        ["Valid", `${moment(certificate.not_before)} to ${moment(certificate.not_after)}`],
      ]}
    />
  );
}
