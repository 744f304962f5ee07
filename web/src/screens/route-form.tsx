import { Plus, X } from "lucide-react";
import type { Schemas } from "../api/client";
import { sent } from "../api/sent";
import { Button } from "../ui/basics";
import { Select, Text } from "../ui/form";
import { Rows } from "../ui/rows";
import { numeric, settingsWith } from "./service-form";

type Match = Schemas["RouteMatch"];
type HttpMethod = Schemas["HttpMethod"];

interface MatchFields {
  kind: "any" | "prefix" | "exact";
  path: string;
  methods: string;
  header: string;
  value: string;
  /** What this form has no field for, kept as it is. */
  more: Match["headers"];
}

export interface RouteFields {
  priority: string;
  match: MatchFields[];
  backends: string[];
  timeout: string;
  attempts: string;
}

export const backendsPointers = [
  "/priority",
  "/match",
  "/backends",
  "/settings/timeout",
  "/settings/retries/attempts",
];

function matchFields(match: Match): MatchFields {
  const [first, ...others] = match.headers ?? [];
  const simple = first?.exact != null;
  return {
    kind: match.path?.exact != null ? "exact" : match.path?.prefix != null ? "prefix" : "any",
    path: match.path?.exact ?? match.path?.prefix ?? "",
    methods: (match.methods ?? []).join(", "),
    header: simple ? first.name : "",
    value: simple ? (first.exact ?? "") : "",
    more: simple ? others : (match.headers ?? []),
  };
}

function matchOf(fields: MatchFields): Match {
  const methods = fields.methods.split(/[\s,]+/).filter((method) => method !== "");
  const headers = [
    ...(fields.header.trim() === "" ? [] : [{ name: fields.header.trim(), exact: fields.value }]),
    ...(fields.more ?? []),
  ];
  return {
    ...(fields.kind === "any" ? {} : { path: { [fields.kind]: fields.path } }),
    ...(methods.length === 0 ? {} : { methods: methods.map((method) => method.toUpperCase() as HttpMethod) }),
    ...(headers.length === 0 ? {} : { headers }),
  };
}

const anything: MatchFields = { kind: "prefix", path: "/", methods: "", header: "", value: "", more: [] };

export function routeFieldsOf(route: Schemas["RouteSpec"] | undefined, service: string): RouteFields {
  if (route === undefined)
    return {
      priority: "100",
      match: [anything],
      backends: [`service ${service}`],
      timeout: "",
      attempts: "",
    };
  return {
    priority: String(route.priority),
    match: (route.match ?? []).map(matchFields),
    backends: route.backends.map((one) =>
      one.version != null ? `version ${one.version}` : `service ${one.service}`,
    ),
    timeout: route.settings?.timeout ?? "",
    attempts: route.settings?.retries?.attempts?.toString() ?? "",
  };
}

export function routeSpecOf(fields: RouteFields, before: Schemas["Route"] | undefined): Schemas["RouteSpec"] {
  const { match: _, settings: old, ...others } = sent(before);
  const settings = settingsWith(old, fields.timeout, fields.attempts);
  const match = fields.match.map(matchOf);
  return {
    ...others,
    priority: numeric(fields.priority),
    ...(match.length === 0 ? {} : { match }),
    backends: fields.backends.map((one) => {
      const [kind, name] = one.split(" ");
      return kind === "version" ? { version: name } : { service: name };
    }),
    ...(settings === undefined ? {} : { settings }),
  };
}

export function RouteFieldset({
  fields,
  set,
  disabled,
  choices,
}: {
  fields: RouteFields;
  set: (fields: RouteFields) => void;
  disabled: boolean;
  choices: { service: string; services: string[]; versions: string[] };
}) {
  const change = (part: Partial<RouteFields>) => set({ ...fields, ...part });
  const match = (index: number, part: Partial<MatchFields>) =>
    change({ match: fields.match.map((one, at) => (at === index ? { ...one, ...part } : one)) });
  return (
    <>
      <fieldset>
        <legend className="mb-1.5 font-medium">Requests that match any of</legend>
        <div className="space-y-3">
          {fields.match.length === 0 && <p className="text-muted">Every request.</p>}
          {fields.match.map((one, index) => (
            <div key={index} className="rounded-lg border border-line p-3">
              <div className="grid grid-cols-[11rem_minmax(0,1fr)_auto] gap-2">
                <Select
                  label={`Path of match ${index + 1} is compared`}
                  hideLabel
                  value={one.kind}
                  onChange={(kind) => match(index, { kind: kind as MatchFields["kind"] })}
                  options={[
                    ["prefix", "Path begins with"],
                    ["exact", "Path is exactly"],
                    ["any", "Any path"],
                  ]}
                  disabled={disabled}
                />
                <Text
                  label={`Path of match ${index + 1}`}
                  hideLabel
                  pointer={`/match/${index}/path`}
                  value={one.kind === "any" ? "" : one.path}
                  onChange={(path) => match(index, { path })}
                  disabled={disabled || one.kind === "any"}
                  mono
                />
                <Button
                  kind="quiet"
                  aria-label={`Remove match ${index + 1}`}
                  disabled={disabled}
                  onClick={() => change({ match: fields.match.filter((_, at) => at !== index) })}
                >
                  <X aria-hidden className="size-4" />
                </Button>
              </div>
              <div className="mt-2 grid grid-cols-3 gap-2">
                <Text
                  label="Methods"
                  pointer={`/match/${index}/methods`}
                  value={one.methods}
                  onChange={(methods) => match(index, { methods })}
                  disabled={disabled}
                  mono
                  placeholder="any"
                />
                <Text
                  label="Header"
                  pointer={`/match/${index}/headers`}
                  value={one.header}
                  onChange={(header) => match(index, { header })}
                  disabled={disabled}
                  mono
                  placeholder="any"
                />
                <Text
                  label="Header is exactly"
                  value={one.value}
                  onChange={(value) => match(index, { value })}
                  disabled={disabled || one.header === ""}
                  mono
                />
              </div>
              {(one.more ?? []).length > 0 && (
                <p className="mt-2 text-muted">
                  And {(one.more ?? []).map((header) => header.name).join(", ")}, as configured elsewhere.
                </p>
              )}
            </div>
          ))}
        </div>
        <Button
          kind="quiet"
          className="mt-2 -ml-3.5"
          disabled={disabled}
          onClick={() => change({ match: [...fields.match, anything] })}
        >
          <Plus aria-hidden className="size-4" /> Add match
        </Button>
      </fieldset>
      <Backends fields={fields} change={change} disabled={disabled} choices={choices} />
      <div className="grid grid-cols-3 gap-4">
        <Text
          label="Priority"
          pointer="/priority"
          value={fields.priority}
          onChange={(priority) => change({ priority })}
          disabled={disabled}
          mono
          hint="Lower is tried first."
        />
        <Text
          label="Timeout"
          pointer="/settings/timeout"
          value={fields.timeout}
          onChange={(timeout) => change({ timeout })}
          disabled={disabled}
          mono
          placeholder="inherited"
          hint="For example 1.5s."
        />
        <Text
          label="Retries"
          pointer="/settings/retries/attempts"
          value={fields.attempts}
          onChange={(attempts) => change({ attempts })}
          disabled={disabled}
          mono
          placeholder="inherited"
          hint="0 is never."
        />
      </div>
    </>
  );
}

function Backends({
  fields,
  change,
  disabled,
  choices,
}: {
  fields: RouteFields;
  change: (part: Partial<RouteFields>) => void;
  disabled: boolean;
  choices: { service: string; services: string[]; versions: string[] };
}) {
  const options = new Map<string, string>([[`service ${choices.service}`, "All instances"]]);
  for (const version of choices.versions) options.set(`version ${version}`, `Version ${version}`);
  for (const service of choices.services.filter((one) => one !== choices.service))
    options.set(`service ${service}`, `Service ${service}`);
  for (const one of fields.backends)
    if (!options.has(one))
      options.set(
        one,
        one.replace(/^\w/, (c) => c.toUpperCase()),
      );
  return (
    <Rows
      legend="Go to"
      one="destination"
      rows={fields.backends}
      set={(backends) => change({ backends })}
      added={() =>
        [...options.keys()].find((key) => !fields.backends.includes(key)) ?? `service ${choices.service}`
      }
      least={1}
      hint="In equal shares, unless the route has a split."
      columns="grid-cols-[minmax(0,1fr)_auto]"
      disabled={disabled}
    >
      {(one, index, next) => (
        <Select
          label={`Destination ${index + 1}`}
          hideLabel
          pointer={`/backends/${index}`}
          value={one}
          onChange={next}
          options={[...options]}
          disabled={disabled}
        />
      )}
    </Rows>
  );
}
