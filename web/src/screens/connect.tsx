// Connect a proxy: choose, copy, and watch it arrive.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { clsx } from "clsx";
import { Boxes, Check, CircleDashed, LoaderCircle, TriangleAlert } from "lucide-react";
import { type ReactNode, useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { proxiesQuery, servicesQuery } from "../api/queries";
import { useSave } from "../api/save";
import type { JoinToken, ProxyView } from "../api/types";
import { Guarded, ReadOnlyNote, useMay } from "../ui/access";
import { Button, Card, linkButton, PageHead } from "../ui/basics";
import { Snippet } from "../ui/copy";
import { MeshCrumbs } from "../ui/crumbs";
import { Form, Select, Text, Check as Tick } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Empty, Loaded } from "../ui/states";
import { type Commands, commands } from "./commands";
import { explain } from "./health";
import { emptyToken, TokenFieldset, tokenOf, tokenPointers } from "./join-token-form";

export function Connect() {
  const { mesh } = useParams({ from: "/inside/meshes/$mesh/connect" });
  const services = useQuery(servicesQuery(mesh));
  return (
    <div className="max-w-3xl">
      <title>{`Connect a proxy · ${mesh} · Heddle`}</title>
      <PageHead
        title="Connect a proxy"
        crumbs={<MeshCrumbs mesh={mesh} at="Connect a proxy" />}
        about="An unmodified Envoy beside an instance of a service. It needs a file with a token, a bootstrap, and a way to reach Heddle."
      />
      <ReadOnlyNote permission="join_tokens:write" />
      <Loaded query={services} what="services">
        {(list) =>
          list.length === 0 ? (
            <Empty
              icon={<Boxes />}
              title="There is no service to connect to yet"
              action={
                <Link to="/meshes/$mesh/services/new" params={{ mesh }} className={linkButton("primary")}>
                  Add a service
                </Link>
              }
            >
              Every proxy belongs to one service. Add the service first.
            </Empty>
          ) : (
            <Steps mesh={mesh} services={list.map((service) => service.name)} />
          )
        }
      </Loaded>
    </div>
  );
}

function Steps({ mesh, services }: { mesh: string; services: string[] }) {
  const search = useSearch({ from: "/inside/meshes/$mesh/connect" });
  const navigate = useNavigate();
  const may = useMay("join_tokens:write");
  const service =
    search.service !== undefined && services.includes(search.service) ? search.service : (services[0] ?? "");
  const [proxy, setProxy] = useState("");
  const [version, setVersion] = useState("v1");
  const [address, setAddress] = useState("");
  const [app, setApp] = useState("127.0.0.1");
  const [ports, setPorts] = useState({ inbound: "15006", outbound: "15001", admin: "15000" });
  const [joining, setJoining] = useState(emptyToken);
  const [own, setOwn] = useState(false);
  const [token, setToken] = useState<JoinToken | null>(null);
  const name = proxy.trim() || `${service}-1`;
  const [suffix] = useState(
    () => crypto.getRandomValues(new Uint32Array(1))[0]?.toString(36).slice(0, 5) ?? "",
  );
  const tokenName = `${name}-${suffix}`.toLowerCase().replace(/[^a-z0-9-]/g, "-");
  const body = { name: tokenName, service, ...tokenOf(joining) };
  const save = useSave(
    () =>
      good(
        api.POST("/v1/orgs/{org}/meshes/{mesh}/join-tokens", { params: { path: { org: "-", mesh } }, body }),
      ),
    null,
    setToken,
  );
  const facts: Commands = {
    origin: location.origin,
    mesh,
    proxy: name,
    service,
    version: version.trim(),
    address: address.trim() || "127.0.0.1",
    app: app.trim(),
    ports,
    secret: token?.secret ?? "",
    own,
  };
  return (
    <div className="space-y-6">
      <Card>
        <Step n={1} title="Which instance is it?" done={token !== null}>
          <Form
            problem={save.problem}
            pointers={["/service", ...tokenPointers(joining)]}
            onSubmit={() => void save.run()}
          >
            <div className="grid grid-cols-2 gap-4">
              <Select
                label="Service"
                pointer="/service"
                value={service}
                onChange={(next) => void navigate({ to: ".", search: { service: next }, replace: true })}
                options={services}
                disabled={!may || token !== null}
              />
              <Text
                label="Name of this proxy"
                value={proxy}
                onChange={setProxy}
                disabled={!may || token !== null}
                mono
                placeholder={`${service}-1`}
                hint="Unique within the service."
              />
              {!own && (
                <>
                  <Text
                    label="Version"
                    value={version}
                    onChange={setVersion}
                    disabled={!may || token !== null}
                    mono
                    hint="What a canary tells apart."
                  />
                  <Text
                    label="Address of its host"
                    value={address}
                    onChange={setAddress}
                    disabled={!may || token !== null}
                    mono
                    placeholder="127.0.0.1"
                    hint="Where other proxies reach it."
                  />
                  <Text
                    label="Address of the application"
                    value={app}
                    onChange={setApp}
                    disabled={!may || token !== null}
                    mono
                    hint="As seen from the Envoy."
                  />
                </>
              )}
            </div>
            {!own && (
              <details>
                <summary className="w-fit text-muted hover:text-ink">Ports of the Envoy</summary>
                <div className="mt-3 grid grid-cols-3 gap-4">
                  <Text
                    label="From other proxies"
                    value={ports.inbound}
                    onChange={(inbound) => setPorts({ ...ports, inbound })}
                    disabled={!may || token !== null}
                    mono
                  />
                  <Text
                    label="From the application"
                    value={ports.outbound}
                    onChange={(outbound) => setPorts({ ...ports, outbound })}
                    disabled={!may || token !== null}
                    mono
                  />
                  <Text
                    label="Admin interface"
                    value={ports.admin}
                    onChange={(admin) => setPorts({ ...ports, admin })}
                    disabled={!may || token !== null}
                    mono
                  />
                </div>
              </details>
            )}
            <Tick
              label="I run my own listeners"
              hint="The Envoy keeps its file as it is and gets the clusters of the mesh beside it. Routes of its own can then name them."
              checked={own}
              onChange={setOwn}
              disabled={!may || token !== null}
            />
            <TokenFieldset fields={joining} set={setJoining} disabled={!may || token !== null} />
            {token === null ? (
              <Guarded permission="join_tokens:write" kind="primary" type="submit" disabled={save.busy}>
                Make a join token
              </Guarded>
            ) : (
              <Button
                onClick={() => {
                  setToken(null);
                  save.reset();
                }}
              >
                Connect another one
              </Button>
            )}
            {token === null && (
              <ShowAs request={{ method: "POST", path: `/v1/orgs/-/meshes/${mesh}/join-tokens`, body }} />
            )}
          </Form>
        </Step>
      </Card>
      {token && (
        <>
          <Card>
            <Step n={2} title="Run this on its host">
              <p className="mb-3 text-muted">
                The token is in it and is not shown again. Revoke it under{" "}
                <Link
                  to="/meshes/$mesh/join-tokens"
                  params={{ mesh }}
                  className="text-accent underline underline-offset-2"
                >
                  Join tokens
                </Link>{" "}
                if it falls into wrong hands.
              </p>
              {own && (
                <p className="mb-3 text-muted">
                  The last line is yours, with one argument more. A file with a <code>cds_config</code> or an{" "}
                  <code>ads_config</code> of its own does not go with an overlay. If something goes by the{" "}
                  <code>node</code> in your file, add <code>&amp;keep_node=true</code> to the address.
                </p>
              )}
              <Snippet label="commands" text={commands(facts)} />
            </Step>
          </Card>
          <Card>
            <Step n={3} title="Watch it arrive">
              <Lights mesh={mesh} service={service} proxy={name} />
            </Step>
          </Card>
        </>
      )}
    </div>
  );
}

function Step({
  n,
  title,
  done,
  children,
}: {
  n: number;
  title: string;
  done?: boolean;
  children: ReactNode;
}) {
  return (
    <div className="grid grid-cols-[2rem_minmax(0,1fr)] gap-x-4">
      <span
        aria-hidden
        className={clsx(
          "flex size-7 items-center justify-center rounded-full font-semibold",
          done ? "bg-ok-soft text-ok" : "bg-accent-soft text-accent",
        )}
      >
        {done ? <Check className="size-4" /> : n}
      </span>
      <div className="min-w-0">
        <h2 className="mb-4 leading-7">{title}</h2>
        {children}
      </div>
    </div>
  );
}

type Light = "waiting" | "next" | "on" | "wrong";

function Lights({ mesh, service, proxy }: { mesh: string; service: string; proxy: string }) {
  const { data } = useQuery({ ...proxiesQuery(mesh), refetchInterval: 1_000 });
  const found = (data ?? []).find((one) => one.service === service && one.name === proxy);
  const lights = judgeLights(found);
  return (
    <ol aria-live="polite" className="space-y-3">
      {lights.map(({ light, title, about }) => {
        const Icon = { waiting: CircleDashed, next: LoaderCircle, on: Check, wrong: TriangleAlert }[light];
        return (
          <li key={title} data-light={light} className="flex gap-3">
            <span
              className={clsx(
                "mt-px flex size-6 shrink-0 items-center justify-center rounded-full",
                {
                  waiting: "text-muted",
                  next: "text-accent",
                  on: "bg-ok-soft text-ok",
                  wrong: "bg-bad-soft text-bad",
                }[light],
              )}
            >
              <Icon aria-hidden className={clsx("size-4", light === "next" && "animate-spin")} />
              <span className="sr-only">
                {{ waiting: "Not yet:", next: "Waiting:", on: "Done:", wrong: "Wrong:" }[light]}
              </span>
            </span>
            <div>
              <p className={clsx("font-medium", light === "waiting" && "text-muted")}>{title}</p>
              {about && <p className="text-muted">{about}</p>}
            </div>
          </li>
        );
      })}
      {found && (
        <li>
          <Link
            to="/meshes/$mesh/proxies/$proxy"
            params={{ mesh, proxy: found.meta.uid }}
            className={linkButton("plain")}
          >
            Look at the proxy
          </Link>
        </li>
      )}
    </ol>
  );
}

export function judgeLights(
  proxy: ProxyView | undefined,
): { light: Light; title: string; about: string | null }[] {
  const nack = proxy?.nacks?.[0];
  const joined = proxy !== undefined;
  const connected = joined && proxy.state !== "offline";
  const after = (before: boolean, on: boolean): Light => (on ? "on" : before ? "next" : "waiting");
  return [
    { light: "on", title: "The join token is ready", about: null },
    {
      light: after(true, joined),
      title: "The Envoy has joined the mesh",
      about: joined
        ? null
        : "Waiting for it to call. If nothing comes: can its host reach Heddle, and is the token in the file the one from above?",
    },
    {
      light: joined && !connected ? "wrong" : after(joined, connected),
      title: "It is connected",
      about: joined && !connected ? "It was connected and is gone. Is the Envoy still running?" : null,
    },
    nack
      ? { light: "wrong", title: "It has its configuration", about: explain(nack, proxy).what }
      : {
          light: after(connected, proxy?.state === "ready"),
          title: "It has its configuration",
          about:
            proxy?.state === "ready" ? `Revision ${proxy.revision.acked}, all of it acknowledged.` : null,
        },
    proxy?.mode === "augment"
      ? {
          light: after(proxy.state === "ready", proxy.state === "ready"),
          title: "Its own routes can lead into the mesh",
          about: "To clusters such as heddle/payments/http: the service, then the name of its port.",
        }
      : {
          light: after(proxy?.state === "ready", proxy?.state === "ready" && Boolean(proxy.address)),
          title: "Others can call it",
          about: proxy?.address ? `At ${proxy.address}.` : null,
        },
  ];
}
