// What a join token is for, beyond its service: how many proxies, from where, and what they are labelled with.
import type { Schemas } from "../api/client";
import { Check, Text } from "../ui/form";
import { Rows } from "../ui/rows";

export interface TokenFields {
  reusable: boolean;
  ephemeral: boolean;
  networks: string;
  labels: { key: string; value: string }[];
}

export const emptyToken: TokenFields = { reusable: false, ephemeral: false, networks: "", labels: [] };

export function tokenOf(fields: TokenFields): Omit<Schemas["CreateJoinToken"], "name" | "service"> {
  const networks = fields.networks.split(/[\s,]+/).filter((one) => one !== "");
  const labels = fields.labels.filter(({ key }) => key.trim() !== "");
  return {
    // Whoever was forgotten joins anew.
    reusable: fields.reusable || fields.ephemeral,
    ...(fields.ephemeral ? { ephemeral: true } : {}),
    ...(networks.length === 0 ? {} : { networks }),
    ...(labels.length === 0
      ? {}
      : { labels: Object.fromEntries(labels.map(({ key, value }) => [key.trim(), value])) }),
  };
}

const labelPointer = (key: string) =>
  key.trim() === "" ? undefined : `/labels/${key.trim().replaceAll("~", "~0").replaceAll("/", "~1")}`;

export const tokenPointers = ({ labels }: TokenFields) => [
  "/networks",
  ...labels.flatMap(({ key }) => labelPointer(key) ?? []),
];

export function TokenFieldset({
  fields,
  set,
  disabled,
}: {
  fields: TokenFields;
  set: (fields: TokenFields) => void;
  disabled: boolean;
}) {
  return (
    <>
      <Check
        label="Let further proxies join with the same token"
        hint="For instances that come and go by themselves. Otherwise the token is bound to the first proxy."
        checked={fields.reusable || fields.ephemeral}
        onChange={(reusable) => set({ ...fields, reusable })}
        disabled={disabled || fields.ephemeral}
      />
      <Check
        label="Forget proxies that stay away"
        hint="For instances that do not come back under their names: they leave the list by themselves, and whoever comes later joins anew."
        checked={fields.ephemeral}
        onChange={(ephemeral) => set({ ...fields, ephemeral })}
        disabled={disabled}
      />
      <details>
        <summary className="w-fit text-muted hover:text-ink">Networks and labels</summary>
        <div className="mt-3 space-y-5">
          <Text
            label="Only from these networks"
            pointer="/networks"
            value={fields.networks}
            onChange={(networks) => set({ ...fields, networks })}
            disabled={disabled}
            mono
            placeholder="from anywhere"
            hint="Such as 10.20.0.0/16, separated by commas: what counts is the address that Heddle sees, each time that a proxy connects."
          />
          <Rows
            legend="Labels"
            one="label"
            rows={fields.labels}
            set={(labels) => set({ ...fields, labels })}
            added={() => ({ key: "", value: "" })}
            hint="Of the proxies that join with it."
            columns="grid-cols-[minmax(0,1fr)_minmax(0,1fr)_auto]"
            disabled={disabled}
          >
            {(label, index, next) => (
              <>
                <Text
                  label={`Key of label ${index + 1}`}
                  hideLabel
                  pointer={labelPointer(label.key)}
                  value={label.key}
                  onChange={(key) => next({ ...label, key })}
                  disabled={disabled}
                  mono
                  placeholder="zone"
                />
                <Text
                  label={`Value of label ${index + 1}`}
                  hideLabel
                  value={label.value}
                  onChange={(value) => next({ ...label, value })}
                  disabled={disabled}
                  mono
                  placeholder="eu-1"
                />
              </>
            )}
          </Rows>
        </div>
      </details>
    </>
  );
}
