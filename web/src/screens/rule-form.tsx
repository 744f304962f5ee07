import type { Schemas } from "../api/client";
import { sent } from "../api/sent";
import { Field, Select, Text } from "../ui/form";
import { Rows } from "../ui/rows";

type HttpMethod = Schemas["HttpMethod"];

export interface RuleFields {
  action: "allow" | "deny";
  /** Empty: every workload of the mesh. */
  from: string[];
  methods: string;
  prefix: string;
  reason: string;
  /** Targets that this form has no fields for, kept as they are. */
  more: NonNullable<Schemas["AccessRule"]["to"]>;
}

export const rulePointers = ["/action", "/from", "/to", "/reason"];

export function ruleFieldsOf(rule: Schemas["AccessRule"] | undefined): RuleFields {
  if (rule === undefined)
    return { action: "allow", from: [""], methods: "", prefix: "", reason: "", more: [] };
  const to = rule.to ?? [];
  const only = to.length === 1 ? to[0] : undefined;
  const path = (only?.paths ?? []).length <= 1 ? only?.paths?.[0] : undefined;
  const simple = only !== undefined && (only.paths ?? []).length <= 1 && path?.exact == null;
  return {
    action: rule.action,
    from: (rule.from ?? []).map((caller) => caller.service ?? caller.spiffe ?? ""),
    methods: simple ? (only.methods ?? []).join(", ") : "",
    prefix: simple ? (path?.prefix ?? "") : "",
    reason: rule.reason ?? "",
    more: simple ? [] : to,
  };
}

export function ruleSpecOf(
  fields: RuleFields,
  before: Schemas["AccessRule"] | undefined,
): Schemas["AccessRuleSpec"] {
  const { to: _, reason: __, from: ___, ...others } = sent(before);
  const methods = fields.methods.split(/[\s,]+/).filter((method) => method !== "");
  const target = {
    ...(methods.length === 0 ? {} : { methods: methods.map((method) => method.toUpperCase() as HttpMethod) }),
    ...(fields.prefix.trim() === "" ? {} : { paths: [{ prefix: fields.prefix.trim() }] }),
  };
  const to = [...(Object.keys(target).length === 0 ? [] : [target]), ...fields.more];
  return {
    ...others,
    action: fields.action,
    ...(fields.from.length === 0
      ? {}
      : {
          from: fields.from.map((caller) =>
            caller.startsWith("spiffe:") ? { spiffe: caller.trim() } : { service: caller.trim() },
          ),
        }),
    ...(to.length === 0 ? {} : { to }),
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
        added={() => ""}
        least={1}
        hint={
          fields.from.length === 0 ? "Every workload of the mesh." : "A service of this mesh, or a SPIFFE id."
        }
        columns="grid-cols-[minmax(0,1fr)_auto]"
        disabled={disabled}
      >
        {(caller, index, next) => (
          <Text
            label={`Caller ${index + 1}`}
            hideLabel
            pointer={`/from/${index}`}
            value={caller}
            list="callers"
            onChange={next}
            disabled={disabled}
            mono
            placeholder="checkout"
          />
        )}
      </Rows>
      <div className="grid grid-cols-2 gap-4">
        <Text
          label="Methods"
          pointer="/to/0/methods"
          value={fields.methods}
          onChange={(methods) => change({ methods })}
          disabled={disabled}
          mono
          placeholder="any"
          hint="For example GET, POST."
        />
        <Text
          label="Path begins with"
          pointer="/to/0/paths"
          value={fields.prefix}
          onChange={(prefix) => change({ prefix })}
          disabled={disabled}
          mono
          placeholder="any"
          hint="For example /v1/charges."
        />
      </div>
      {fields.more.length > 0 && (
        <Field label="Further requests, as configured elsewhere">
          {(field) => (
            <input
              {...field}
              readOnly
              value={JSON.stringify(fields.more)}
              className={`${field.className} font-mono`}
            />
          )}
        </Field>
      )}
      <Text
        label="Why"
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
