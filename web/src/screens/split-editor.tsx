// The canary: one slider between two versions, numbers for any. Weights stay as they were sent until somebody moves them.
import { useQuery } from "@tanstack/react-query";
import { Plus, X } from "lucide-react";
import { useId, useState } from "react";
import { api } from "../api/client";
import { noteOf } from "../api/note";
import { good } from "../api/problem";
import { proxiesQuery } from "../api/queries";
import { useSave } from "../api/save";
import type { ProxyView, Route, Split } from "../api/types";
import { Guarded, useMay } from "../ui/access";
import { Button, Card, CardTitle } from "../ui/basics";
import { Form, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Why } from "../ui/why";
import { numeric } from "./service-form";
import { versions } from "./services";
import { percent, ShareBar, share } from "./shares";

interface Row {
  version: string;
  weight: string;
}

const STEPS = [0, 1, 5, 10, 25, 50, 100];

export function SplitCard({
  mesh,
  service,
  route,
  split,
}: {
  mesh: string;
  service: string;
  route: Route;
  split: Split | null;
}) {
  const { data: proxies } = useQuery(proxiesQuery(mesh));
  const own = (proxies ?? []).filter((proxy) => proxy.service === service);
  const [begun, setBegun] = useState(false);
  const may = useMay("config:write");
  if (split === null && !begun) {
    return (
      <Card>
        <CardTitle>Traffic split</CardTitle>
        <div className="flex items-center justify-between gap-6">
          <p className="text-muted">
            This route has no split: its destinations share requests equally. A split moves them between
            versions step by step.
          </p>
          <Guarded permission="config:write" kind="primary" onClick={() => setBegun(true)}>
            Start a canary
          </Guarded>
        </div>
      </Card>
    );
  }
  const first = route.backends.flatMap((backend) => backend.version ?? []);
  const known = [...new Set([...first, ...versions(own)])];
  const rows: Row[] = split
    ? split.weights.map((one) => ({ version: one.version, weight: String(one.weight) }))
    : (known.length > 0 ? known.slice(0, 2) : ["v1", "v2"]).map((version, index) => ({
        version,
        weight: index === 0 ? "100" : "0",
      }));
  return (
    <Card>
      <CardTitle>Traffic split</CardTitle>
      <Editor
        mesh={mesh}
        service={service}
        route={route.name}
        split={split}
        start={rows}
        proxies={own}
        may={may}
      />
    </Card>
  );
}

function Editor({
  mesh,
  service,
  route,
  split,
  start,
  proxies,
  may,
}: {
  mesh: string;
  service: string;
  route: string;
  split: Split | null;
  start: Row[];
  proxies: ProxyView[];
  may: boolean;
}) {
  const [rows, setRows] = useState(start);
  const body = { weights: rows.map((row) => ({ version: row.version, weight: numeric(row.weight) })) };
  const url = `/v1/orgs/-/meshes/${mesh}/services/${service}/routes/${route}/split`;
  const path = { org: "-", mesh, service, route };
  const header: Record<string, string> = split ? { "If-Match": split.meta.etag } : { "If-None-Match": "*" };
  const save = useSave(
    (query) =>
      good(
        api.PUT("/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes/{route}/split", {
          params: { path, query },
          headers: header,
          body,
        }),
      ),
    "Saved: proxies are getting it",
  );
  const remove = useSave(
    () =>
      good(
        api.DELETE("/v1/orgs/{org}/meshes/{mesh}/services/{service}/routes/{route}/split", {
          params: { path, query: noteOf(save.why) },
          headers: header,
        }),
      ),
    "Split removed",
  );
  const valid = rows.every((row) => /^\d+$/.test(row.weight));
  const change = (index: number, part: Partial<Row>) =>
    setRows(rows.map((row, at) => (at === index ? { ...row, ...part } : row)));
  return (
    <Form
      problem={save.problem ?? remove.problem}
      pointers={rows.flatMap((_, index) => [`/weights/${index}/version`, `/weights/${index}/weight`])}
      onSubmit={() => void save.run()}
    >
      {valid && <ShareBar weights={body.weights} />}
      {rows.length === 2 && valid && <Slider rows={rows} set={setRows} disabled={!may} />}
      <div className="space-y-2">
        {rows.map((row, index) => (
          <div
            key={index}
            className="grid grid-cols-[minmax(0,1fr)_7rem_minmax(0,1fr)_auto] items-start gap-2"
          >
            <Text
              label={`Version ${index + 1}`}
              hideLabel
              pointer={`/weights/${index}/version`}
              value={row.version}
              onChange={(version) => change(index, { version })}
              disabled={!may}
              mono
              placeholder="v2"
            />
            <Text
              label={`Weight of ${row.version || `version ${index + 1}`}`}
              hideLabel
              pointer={`/weights/${index}/weight`}
              value={row.weight}
              onChange={(weight) => change(index, { weight })}
              disabled={!may}
              mono
            />
            <p className="flex h-9 items-center pl-2 text-muted">
              <Runs proxies={proxies.filter((proxy) => proxy.version === row.version)} />
            </p>
            <Button
              kind="quiet"
              aria-label={`Remove ${row.version || `version ${index + 1}`} from the split`}
              disabled={!may || rows.length === 1}
              onClick={() => setRows(rows.filter((_, at) => at !== index))}
            >
              <X aria-hidden className="size-4" />
            </Button>
          </div>
        ))}
        <Button
          kind="quiet"
          className="-ml-3.5"
          disabled={!may}
          onClick={() => setRows([...rows, { version: "", weight: "0" }])}
        >
          <Plus aria-hidden className="size-4" /> Add version
        </Button>
      </div>
      <Why save={save} disabled={!may} />
      <div className="flex items-center gap-3">
        <Guarded permission="config:write" kind="primary" type="submit" disabled={save.busy}>
          {split ? "Shift traffic" : "Create split"}
        </Guarded>
        {split && (
          <Guarded
            permission="config:write"
            kind="quiet"
            className="ml-auto"
            disabled={remove.busy}
            onClick={() => void remove.run()}
          >
            Remove the split
          </Guarded>
        )}
      </div>
      <ShowAs
        request={{
          method: "PUT",
          path: url,
          body,
          ifMatch: split?.meta.etag,
          why: save.why,
          document: { kind: "split", mesh, service, route },
        }}
      />
    </Form>
  );
}

/** Moves weight from the first version to the second; their sum stays what it was. */
function Slider({ rows, set, disabled }: { rows: Row[]; set: (rows: Row[]) => void; disabled: boolean }) {
  const id = useId();
  const [first, second] = rows;
  if (first === undefined || second === undefined) return null;
  const now = Number(first.weight) + Number(second.weight);
  // Two weights of zero have no sum to share.
  const sum = now === 0 ? 100 : now;
  const to = (weight: number) =>
    set([
      { ...first, weight: String(sum - weight) },
      { ...second, weight: String(weight) },
    ]);
  const shares = rows.map((row) => ({ version: row.version, weight: Number(row.weight) }));
  return (
    <div>
      <label htmlFor={id} className="mb-1.5 block font-medium">
        Share of {second.version || "the second version"}
      </label>
      <div className="flex items-center gap-4">
        <input
          id={id}
          type="range"
          min={0}
          max={sum}
          step={1}
          value={Number(second.weight)}
          disabled={disabled}
          aria-valuetext={percent(share(Number(second.weight), shares))}
          onChange={(event) => to(Number(event.target.value))}
          className="h-9 flex-1"
        />
        <output htmlFor={id} className="w-16 text-right text-[1.1429rem] font-semibold tabular-nums">
          {percent(share(Number(second.weight), shares))}
        </output>
      </div>
      <div className="flex flex-wrap gap-1">
        {STEPS.map((step) => (
          <button
            key={step}
            type="button"
            disabled={disabled}
            onClick={() => to(Math.round((step / 100) * sum))}
            className="h-7 rounded-md px-2.5 text-muted tabular-nums enabled:hover:bg-sunken enabled:hover:text-ink disabled:opacity-55"
          >
            {step}%
          </button>
        ))}
      </div>
    </div>
  );
}

function Runs({ proxies }: { proxies: ProxyView[] }) {
  const up = proxies.filter((proxy) => proxy.state !== "offline").length;
  if (proxies.length === 0) return <span className="text-warn">nothing runs this version</span>;
  return (
    <span>
      {up} of {proxies.length} {proxies.length === 1 ? "instance" : "instances"} connected
    </span>
  );
}
