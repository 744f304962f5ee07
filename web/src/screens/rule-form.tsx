// The fields of an access rule. What the form has no field for is shown as it is, and sent back as it came.
import { Plus, X } from "lucide-react";
import type { ReactNode } from "react";
import type { Schemas } from "../api/client";
import { sent } from "../api/sent";
import { Button } from "../ui/basics";
import { Select, Text } from "../ui/form";
import { Rows } from "../ui/rows";

type Caller = Schemas["AccessCaller"];
type Target = Schemas["AccessTarget"];
type HttpMethod = Schemas["HttpMethod"];

const callerKinds = [
  ["service", "Service"],
  ["spiffe", "SPIFFE id"],
] as const;
type CallerKind = (typeof callerKinds)[number][0];

type Path = NonNullable<Target["paths"]>[number];
const pathKinds = [
  ["prefix", "begins with"],
  ["exact", "is exactly"],
] as const;
type PathKind = (typeof pathKinds)[number][0];

export interface CallerFields {
  /** Null: one that the form has no field for. */
  kind: CallerKind | null;
  text: string;
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
  /** What else it has. */
  more: Omit<Target, "methods" | "paths">;
}

export interface RuleFields {
  action: "allow" | "deny";
  everybody: boolean;
  from: CallerFields[];
  to: TargetFields[];
  reason: string;
}

/** What the fields show by themselves. */
export function rulePointersOf({ from, to }: RuleFields): string[] {
  return [
    "/action",
    "/reason",
    ...from.map((_, index) => `/from/${index}`),
    ...to.flatMap(({ paths }, index) => [
      `/to/${index}/methods`,
      ...paths.map((_, at) => `/to/${index}/paths/${at}`),
    ]),
  ];
}

const someone: CallerFields = { kind: "service", text: "", before: {} };
const anything: TargetFields = { methods: "", paths: [], more: {} };

function callerFields(caller: Caller): CallerFields {
  const keys = Object.keys(caller).filter((key) => caller[key as keyof Caller] != null);
  const kind = callerKinds.find(([one]) => one === keys[0])?.[0];
  return kind === undefined || keys.length > 1
    ? { kind: null, text: "", before: caller }
    : { kind, text: String(caller[kind]), before: caller };
}

const callerOf = ({ kind, text, before }: CallerFields): Caller =>
  kind === null ? before : { [kind]: text.trim() };

function targetFields({ methods, paths, ...more }: Target): TargetFields {
  return {
    methods: (methods ?? []).join(", "),
    paths: (paths ?? []).map((path) => {
      const kind = pathKinds.find(([one]) => path[one] != null)?.[0] ?? null;
      return { kind, text: kind === null ? "" : (path[kind] ?? ""), before: path };
    }),
    more,
  };
}

const pathOf = ({ kind, text, before }: PathFields): Path =>
  kind === null ? before : { [kind]: text.trim() };

function targetOf({ methods, paths, more }: TargetFields): Target {
  const list = methods.split(/[\s,]+/).filter((method) => method !== "");
  return {
    ...more,
    ...(list.length === 0 ? {} : { methods: list.map((method) => method.toUpperCase() as HttpMethod) }),
    ...(paths.length === 0 ? {} : { paths: paths.map(pathOf) }),
  };
}

export function ruleFieldsOf(rule: Schemas["AccessRule"] | undefined): RuleFields {
  return {
    action: rule?.action ?? "allow",
    everybody: rule !== undefined && rule.from == null,
    from: rule?.from?.map(callerFields) ?? [someone],
    to: (rule?.to ?? []).map(targetFields),
    reason: rule?.reason ?? "",
  };
}

export function ruleSpecOf(
  fields: RuleFields,
  before: Schemas["AccessRule"] | undefined,
): Schemas["AccessRuleSpec"] {
  const { to: _, reason: __, from: ___, ...others } = sent(before);
  return {
    ...others,
    action: fields.action,
    ...(fields.everybody ? {} : { from: fields.from.map(callerOf) }),
    ...(fields.to.length === 0 ? {} : { to: fields.to.map(targetOf) }),
    ...(fields.reason.trim() === "" ? {} : { reason: fields.reason.trim() }),
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
        hint="Any of them."
        columns="grid-cols-[9rem_minmax(0,1fr)_auto]"
        disabled={disabled}
      >
        {(caller, index, next) =>
          caller.kind === null ? (
            <AsItIs className="col-span-2">{JSON.stringify(caller.before)}</AsItIs>
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
                disabled={disabled}
                mono
                placeholder={
                  caller.kind === "service" ? "checkout" : "spiffe://partner.example/ns/shop/sa/checkout"
                }
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
                      placeholder="/v1/charges"
                    />
                  </>
                )
              }
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
