// The fields of an access rule. What the form has no field for is shown as it is, and sent back as it came.
import { Plus, X } from "lucide-react";
import type { ReactNode } from "react";
import type { Schemas } from "../api/client";
import { sent } from "../api/sent";
import { Button } from "../ui/basics";
import { Check, Select, Text } from "../ui/form";
import { Rows } from "../ui/rows";

type Caller = Schemas["AccessCaller"];
type Target = Schemas["AccessTarget"];
type HttpMethod = Schemas["HttpMethod"];

const callerKinds = [
  ["service", "Service"],
  ["spiffe", "SPIFFE id"],
  ["spiffe_prefix", "SPIFFE ids below"],
  ["anybody", "Anybody"],
] as const;
type CallerKind = (typeof callerKinds)[number][0];

type Path = NonNullable<Target["paths"]>[number];
const pathKinds = [
  ["prefix", "begins with"],
  ["exact", "is exactly"],
  ["template", "looks like"],
] as const;
const headerKinds = [
  ["exact", "is exactly"],
  ["prefix", "begins with"],
  ["present", "is there"],
  ["absent", "is not there"],
] as const;
type HeaderKind = (typeof headerKinds)[number][0];
type Header = Schemas["HeaderMatch"];
type PathKind = (typeof pathKinds)[number][0];

export interface CallerFields {
  /** Null: one that the form has no field for. */
  kind: CallerKind | null;
  text: string;
  /** Of the address that the callee's proxy sees; empty: from anywhere. */
  networks: string;
  /** As it came. */
  before: Caller;
}

interface PathFields {
  /** Null: compared in a way that the form has no field for. */
  kind: PathKind | null;
  text: string;
  /** As it came. */
  before: Path;
}

export interface TargetFields {
  methods: string;
  paths: PathFields[];
  hosts: string;
  ports: string;
  headers: { name: string; kind: HeaderKind; value: string }[];
  /** What else it has. */
  more: object;
}

export interface RuleFields {
  action: "allow" | "deny";
  everybody: boolean;
  from: CallerFields[];
  to: TargetFields[];
  reason: string;
  reportOnly: boolean;
  /** An instant; empty: never. */
  expires: string;
}

/** What the fields show by themselves. */
export function rulePointersOf({ from, to }: RuleFields): string[] {
  return [
    "/action",
    "/reason",
    "/report_only",
    "/expires",
    ...from.map((_, index) => `/from/${index}`),
    ...to.flatMap(({ paths }, index) => [
      ...["methods", "hosts", "ports", "headers"].map((field) => `/to/${index}/${field}`),
      ...paths.map((_, at) => `/to/${index}/paths/${at}`),
    ]),
  ];
}

const callerExamples: Record<CallerKind, string> = {
  service: "checkout",
  spiffe: "spiffe://partner.example/ns/shop/sa/checkout",
  spiffe_prefix: "spiffe://partner.example/batch",
  anybody: "whoever calls",
};

const someone: CallerFields = { kind: "service", text: "", networks: "", before: {} };
const anything: TargetFields = { methods: "", paths: [], hosts: "", ports: "", headers: [], more: {} };

const listOf = (text: string) => text.split(/[\s,]+/).filter((one) => one !== "");

function callerFields(caller: Caller): CallerFields {
  const { networks, ...rest } = caller;
  const keys = Object.keys(rest).filter((key) => rest[key as keyof typeof rest] != null);
  const kind = keys.length === 0 ? "anybody" : callerKinds.find(([one]) => one === keys[0])?.[0];
  if (kind === undefined || keys.length > 1) return { kind: null, text: "", networks: "", before: caller };
  const text = kind === "anybody" ? "" : String(caller[kind]);
  return { kind, text, networks: (networks ?? []).join(", "), before: caller };
}

function callerOf({ kind, text, networks, before }: CallerFields): Caller {
  if (kind === null) return before;
  const from = listOf(networks);
  return {
    ...(kind === "anybody" ? {} : { [kind]: text.trim() }),
    ...(from.length === 0 ? {} : { networks: from }),
  };
}

function headerFields(header: Header): TargetFields["headers"][number] {
  const { name } = header;
  if (header.exact != null) return { name, kind: "exact", value: header.exact };
  if (header.prefix != null) return { name, kind: "prefix", value: header.prefix };
  return { name, kind: header.present === false ? "absent" : "present", value: "" };
}

function headerOf({ name, kind, value }: TargetFields["headers"][number]): Header {
  if (kind === "exact" || kind === "prefix") return { name: name.trim(), [kind]: value };
  return { name: name.trim(), present: kind === "present" };
}

function targetFields({ methods, paths, hosts, ports, headers, ...more }: Target): TargetFields {
  return {
    methods: (methods ?? []).join(", "),
    paths: (paths ?? []).map((path) => {
      const kind = pathKinds.find(([one]) => path[one] != null)?.[0] ?? null;
      return { kind, text: kind === null ? "" : (path[kind] ?? ""), before: path };
    }),
    hosts: (hosts ?? []).join(", "),
    ports: (ports ?? []).join(", "),
    headers: (headers ?? []).map(headerFields),
    more,
  };
}

const pathOf = ({ kind, text, before }: PathFields): Path =>
  kind === null ? before : { [kind]: text.trim() };

function targetOf(fields: TargetFields): Target {
  const methods = listOf(fields.methods).map((method) => method.toUpperCase() as HttpMethod);
  const [hosts, ports] = [listOf(fields.hosts), listOf(fields.ports)];
  return {
    ...fields.more,
    ...(methods.length === 0 ? {} : { methods }),
    ...(fields.paths.length === 0 ? {} : { paths: fields.paths.map(pathOf) }),
    ...(hosts.length === 0 ? {} : { hosts }),
    ...(ports.length === 0 ? {} : { ports }),
    ...(fields.headers.length === 0 ? {} : { headers: fields.headers.map(headerOf) }),
  };
}

export function ruleFieldsOf(rule: Schemas["AccessRule"] | undefined): RuleFields {
  return {
    action: rule?.action ?? "allow",
    everybody: rule !== undefined && rule.from == null,
    from: rule?.from?.map(callerFields) ?? [someone],
    to: (rule?.to ?? []).map(targetFields),
    reason: rule?.reason ?? "",
    reportOnly: rule?.report_only ?? false,
    expires: rule?.expires ?? "",
  };
}

export function ruleSpecOf(
  fields: RuleFields,
  before: Schemas["AccessRule"] | undefined,
): Schemas["AccessRuleSpec"] {
  const { to: _, reason: __, from: ___, report_only: only, expires: ____, ...others } = sent(before);
  return {
    ...others,
    action: fields.action,
    ...(fields.everybody ? {} : { from: fields.from.map(callerOf) }),
    ...(fields.to.length === 0 ? {} : { to: fields.to.map(targetOf) }),
    ...(fields.reason.trim() === "" ? {} : { reason: fields.reason.trim() }),
    ...(fields.reportOnly || only != null ? { report_only: fields.reportOnly } : {}),
    ...(fields.expires.trim() === "" ? {} : { expires: fields.expires.trim() }),
  };
}

export function RuleFieldset({
  fields,
  set,
  disabled,
  services,
}: {
  fields: RuleFields;
  set: (fields: RuleFields) => void;
  disabled: boolean;
  services: string[];
}) {
  const change = (part: Partial<RuleFields>) => set({ ...fields, ...part });
  return (
    <>
      <div className="grid grid-cols-2 gap-4">
        <Select
          label="A call that matches is"
          pointer="/action"
          value={fields.action}
          onChange={(action) => change({ action: action === "deny" ? "deny" : "allow" })}
          options={[
            ["allow", "allowed"],
            ["deny", "denied"],
          ]}
          disabled={disabled}
          hint="Deny wins over every allow."
        />
        <Select
          label="It is about calls from"
          value={fields.everybody ? "all" : "some"}
          onChange={(who) => change({ everybody: who === "all" })}
          options={[
            ["some", "these callers"],
            ["all", "every workload of the mesh"],
          ]}
          disabled={disabled}
        />
      </div>
      {!fields.everybody && (
        <Callers fields={fields} change={change} disabled={disabled} services={services} />
      )}
      <Targets fields={fields} change={change} disabled={disabled} />
      <Text
        label="Why the rule exists"
        pointer="/reason"
        value={fields.reason}
        onChange={(reason) => change({ reason })}
        disabled={disabled}
        placeholder="PAY-1123"
        hint="Optional, for whoever reads this later."
      />
      <div className="grid grid-cols-2 gap-4">
        <Text
          label="In force until"
          pointer="/expires"
          value={fields.expires}
          onChange={(expires) => change({ expires })}
          disabled={disabled}
          mono
          placeholder="2027-01-31T00:00:00Z"
          hint="Empty: it stays."
        />
        <div className="pt-7">
          <Check
            label="Only report"
            hint="It decides nothing; proxies count and log what it would."
            checked={fields.reportOnly}
            onChange={(reportOnly) => change({ reportOnly })}
            disabled={disabled}
          />
        </div>
      </div>
    </>
  );
}

interface Part {
  fields: RuleFields;
  change: (part: Partial<RuleFields>) => void;
  disabled: boolean;
}

function Callers({ fields, change, disabled, services }: Part & { services: string[] }) {
  return (
    <>
      <datalist id="callers">
        {services.map((service) => (
          <option key={service} value={service} />
        ))}
      </datalist>
      <Rows
        legend="Callers"
        one="caller"
        rows={fields.from}
        set={(from) => change({ from })}
        added={() => someone}
        least={1}
        hint="Any of them; networks such as 10.0.0.0/8, separated by commas."
        columns="grid-cols-[11rem_minmax(0,3fr)_minmax(0,2fr)_auto]"
        disabled={disabled}
      >
        {(caller, index, next) =>
          caller.kind === null ? (
            <AsItIs className="col-span-3">{JSON.stringify(caller.before)}</AsItIs>
          ) : (
            <>
              <Select
                label={`Kind of caller ${index + 1}`}
                hideLabel
                value={caller.kind}
                onChange={(kind) => next({ ...caller, kind: kind as CallerKind })}
                options={callerKinds.map(([kind, text]) => [kind, text])}
                disabled={disabled}
              />
              <Text
                label={`Caller ${index + 1}`}
                hideLabel
                pointer={`/from/${index}`}
                value={caller.text}
                list={caller.kind === "service" ? "callers" : undefined}
                onChange={(text) => next({ ...caller, text })}
                disabled={disabled || caller.kind === "anybody"}
                mono
                placeholder={callerExamples[caller.kind]}
              />
              <Text
                label={`Networks of caller ${index + 1}`}
                hideLabel
                value={caller.networks}
                onChange={(networks) => next({ ...caller, networks })}
                disabled={disabled}
                mono
                placeholder="from anywhere"
              />
            </>
          )
        }
      </Rows>
    </>
  );
}

function Targets({ fields, change, disabled }: Part) {
  const target = (index: number, part: Partial<TargetFields>) =>
    change({ to: fields.to.map((one, at) => (at === index ? { ...one, ...part } : one)) });
  return (
    <fieldset>
      <legend className="mb-1.5 font-medium">Requests</legend>
      <div className="space-y-3">
        {fields.to.length === 0 && <p className="text-muted">Every request.</p>}
        {fields.to.map((one, index) => (
          <div key={index} className="space-y-3 rounded-lg border border-line p-3">
            <div className="grid grid-cols-[minmax(0,1fr)_auto] items-end gap-2">
              <Text
                label={`Methods of request ${index + 1}`}
                pointer={`/to/${index}/methods`}
                value={one.methods}
                onChange={(methods) => target(index, { methods })}
                disabled={disabled}
                mono
                placeholder="any, or for example GET, POST"
              />
              <Button
                kind="quiet"
                aria-label={`Remove request ${index + 1}`}
                disabled={disabled}
                onClick={() => change({ to: fields.to.filter((_, at) => at !== index) })}
              >
                <X aria-hidden className="size-4" />
              </Button>
            </div>
            <Rows
              legend={`Paths of request ${index + 1}`}
              one="path"
              rows={one.paths}
              set={(paths) => target(index, { paths })}
              added={(): PathFields => ({ kind: "prefix", text: "", before: {} })}
              hint={one.paths.length === 0 ? "Any path." : "Any of them."}
              columns="grid-cols-[9rem_minmax(0,1fr)_auto]"
              disabled={disabled}
            >
              {(path, at, next) =>
                path.kind === null ? (
                  <AsItIs className="col-span-2">{JSON.stringify(path.before)}</AsItIs>
                ) : (
                  <>
                    <Select
                      label={`Path ${at + 1} of request ${index + 1} is compared`}
                      hideLabel
                      value={path.kind}
                      onChange={(kind) => next({ ...path, kind: kind as PathKind })}
                      options={pathKinds.map(([kind, text]) => [kind, text])}
                      disabled={disabled}
                    />
                    <Text
                      label={`Path ${at + 1} of request ${index + 1}`}
                      hideLabel
                      pointer={`/to/${index}/paths/${at}`}
                      value={path.text}
                      onChange={(text) => next({ ...path, text })}
                      disabled={disabled}
                      mono
                      placeholder={path.kind === "template" ? "/v1/users/{*}/orders" : "/v1/charges"}
                    />
                  </>
                )
              }
            </Rows>
            <div className="grid grid-cols-2 gap-4">
              <Text
                label={`Hosts of request ${index + 1}`}
                pointer={`/to/${index}/hosts`}
                value={one.hosts}
                onChange={(hosts) => target(index, { hosts })}
                disabled={disabled}
                mono
                placeholder="any"
              />
              <Text
                label={`Ports of request ${index + 1}`}
                pointer={`/to/${index}/ports`}
                value={one.ports}
                onChange={(ports) => target(index, { ports })}
                disabled={disabled}
                mono
                placeholder="any, by name"
              />
            </div>
            <Rows
              legend={`Headers of request ${index + 1}`}
              one="header"
              rows={one.headers}
              set={(headers) => target(index, { headers })}
              added={() => ({ name: "", kind: "exact" as HeaderKind, value: "" })}
              hint={one.headers.length === 0 ? "Whatever they are." : "All of them."}
              columns="grid-cols-[minmax(0,1fr)_9rem_minmax(0,1fr)_auto]"
              disabled={disabled}
            >
              {(header, at, next) => (
                <>
                  <Text
                    label={`Header ${at + 1} of request ${index + 1}`}
                    hideLabel
                    pointer={`/to/${index}/headers/${at}`}
                    value={header.name}
                    onChange={(name) => next({ ...header, name })}
                    disabled={disabled}
                    mono
                    placeholder="x-tenant"
                  />
                  <Select
                    label={`Header ${at + 1} of request ${index + 1} is compared`}
                    hideLabel
                    value={header.kind}
                    onChange={(kind) => next({ ...header, kind: kind as HeaderKind })}
                    options={headerKinds.map(([kind, text]) => [kind, text])}
                    disabled={disabled}
                  />
                  <Text
                    label={`Value of header ${at + 1} of request ${index + 1}`}
                    hideLabel
                    value={header.value}
                    onChange={(value) => next({ ...header, value })}
                    disabled={disabled || header.kind === "present" || header.kind === "absent"}
                    mono
                  />
                </>
              )}
            </Rows>
            {Object.keys(one.more).length > 0 && <AsItIs>{JSON.stringify(one.more)}</AsItIs>}
          </div>
        ))}
      </div>
      <Button
        kind="quiet"
        className="mt-2 -ml-3.5"
        disabled={disabled}
        onClick={() => change({ to: [...fields.to, anything] })}
      >
        <Plus aria-hidden className="size-4" /> Limit it to some requests
      </Button>
    </fieldset>
  );
}

/** Configured elsewhere, and kept. */
function AsItIs({ className, children }: { className?: string; children: ReactNode }) {
  return (
    <p className={`rounded-lg bg-sunken px-3 py-2 text-muted ${className ?? ""}`}>
      Kept as it is: <code className="break-all">{children}</code>
    </p>
  );
}
