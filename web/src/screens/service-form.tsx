// The fields of a service, for a new one and for one that is there.

import type { Schemas } from "../api/client";
import { sent } from "../api/sent";
import { Select, Text } from "../ui/form";
import { Rows } from "../ui/rows";
import { type Mode, mtlsHint, mtlsOptions, said } from "./mtls";

export type Port = Schemas["ServicePort"];
type Settings = Schemas["Settings"];

export interface ServiceFields {
  display_name: string;
  ports: { name: string; port: string; protocol: Port["protocol"]; local_port: string; mtls: Mode }[];
  mtls: Mode;
  hostnames: string;
  timeout: string;
  attempts: string;
}

export const noFields: ServiceFields = {
  display_name: "",
  ports: [{ name: "http", port: "8080", protocol: "http", local_port: "", mtls: "" }],
  mtls: "",
  hostnames: "",
  timeout: "",
  attempts: "",
};

export function fieldsOf(spec: Schemas["Service"]): ServiceFields {
  return {
    display_name: spec.display_name ?? "",
    ports: spec.ports.map((port) => ({
      ...port,
      port: String(port.port),
      local_port: port.local_port?.toString() ?? "",
      mtls: port.mtls ?? "",
    })),
    mtls: spec.mtls ?? "",
    hostnames: (spec.hostnames ?? []).join(", "),
    timeout: spec.defaults?.timeout ?? "",
    attempts: spec.defaults?.retries?.attempts?.toString() ?? "",
  };
}

/** A number as it was typed, or the text itself, which the server then refuses at its place. */
export const numeric = (text: string) =>
  /^\d+$/.test(text.trim()) ? Number(text) : (text as unknown as number);

/** Settings with two fields replaced and all others as they are. */
export function settingsWith(
  before: Settings | null | undefined,
  timeout: string,
  attempts: string,
): Settings | undefined {
  const { timeout: _, retries, ...others } = before ?? {};
  const { attempts: __, ...retry } = retries ?? {};
  const next: Settings = { ...others };
  if (timeout.trim() !== "") next.timeout = timeout.trim();
  if (attempts.trim() !== "") next.retries = { ...retry, attempts: numeric(attempts) };
  else if (Object.keys(retry).length > 0) next.retries = retry;
  return Object.keys(next).length > 0 ? next : undefined;
}

export function specOf(fields: ServiceFields, before?: Schemas["Service"]): Schemas["ServiceSpec"] {
  const { display_name: _, hostnames: __, mtls: ___, defaults, ...others } = sent(before);
  const hostnames = fields.hostnames.split(/[\s,]+/).filter((host) => host !== "");
  const settings = settingsWith(defaults, fields.timeout, fields.attempts);
  return {
    ...others,
    ...(fields.display_name.trim() === "" ? {} : { display_name: fields.display_name.trim() }),
    ports: fields.ports.map(({ local_port, mtls, ...port }) => ({
      ...port,
      port: numeric(port.port),
      ...(port.protocol === "tcp" && local_port.trim() !== "" ? { local_port: numeric(local_port) } : {}),
      ...(port.protocol === "tcp" && mtls !== "strict" ? {} : said(mtls)),
    })),
    ...said(fields.mtls),
    ...(hostnames.length === 0 ? {} : { hostnames }),
    ...(settings === undefined ? {} : { defaults: settings }),
  };
}

export const servicePointers = [
  "/name",
  "/display_name",
  "/ports",
  "/mtls",
  "/hostnames",
  "/defaults/timeout",
  "/defaults/retries/attempts",
];

export function ServiceFieldset({
  fields,
  set,
  disabled,
}: {
  fields: ServiceFields;
  set: (fields: ServiceFields) => void;
  disabled: boolean;
}) {
  const change = (part: Partial<ServiceFields>) => set({ ...fields, ...part });
  return (
    <>
      <Text
        label="Display name"
        pointer="/display_name"
        value={fields.display_name}
        onChange={(display_name) => change({ display_name })}
        disabled={disabled}
        hint="Optional. Changes freely."
      />
      <Rows
        legend="Ports"
        one="port"
        rows={fields.ports}
        set={(ports) => change({ ports })}
        added={() => ({ name: "", port: "", protocol: "http" as const, local_port: "", mtls: "" as const })}
        least={1}
        hint="Where the application listens on each host that runs it. Callers connect to a tcp port at a local port of theirs; empty: one that follows from the names. Last comes its mutual TLS."
        columns="grid-cols-[1fr_4.5rem_5.5rem_5rem_8.5rem_auto]"
        disabled={disabled}
      >
        {(one, index, port) => (
          <>
            <Text
              label={`Name of port ${index + 1}`}
              hideLabel
              pointer={`/ports/${index}/name`}
              value={one.name}
              onChange={(name) => port({ ...one, name })}
              disabled={disabled}
              mono
            />
            <Text
              label={`Number of port ${index + 1}`}
              hideLabel
              pointer={`/ports/${index}/port`}
              value={one.port}
              onChange={(text) => port({ ...one, port: text })}
              disabled={disabled}
              mono
            />
            <Select
              label={`Protocol of port ${index + 1}`}
              hideLabel
              pointer={`/ports/${index}/protocol`}
              value={one.protocol}
              onChange={(protocol) => port({ ...one, protocol: protocol as Port["protocol"] })}
              options={["http", "http2", "grpc", "tcp"]}
              disabled={disabled}
            />
            <Text
              label={`Local port of port ${index + 1}`}
              hideLabel
              pointer={`/ports/${index}/local_port`}
              value={one.protocol === "tcp" ? one.local_port : ""}
              onChange={(text) => port({ ...one, local_port: text })}
              disabled={disabled || one.protocol !== "tcp"}
              placeholder={one.protocol === "tcp" ? "derived" : ""}
              mono
            />
            <Select
              label={`Mutual TLS of port ${index + 1}`}
              hideLabel
              pointer={`/ports/${index}/mtls`}
              value={one.protocol === "tcp" ? "strict" : one.mtls}
              onChange={(mtls) => port({ ...one, mtls: mtls as Mode })}
              options={one.protocol === "tcp" ? ["strict"] : mtlsOptions("as below")}
              disabled={disabled || one.protocol === "tcp"}
            />
          </>
        )}
      </Rows>
      <Select
        label="Mutual TLS"
        pointer="/mtls"
        value={fields.mtls}
        onChange={(mtls) => change({ mtls: mtls as Mode })}
        disabled={disabled}
        options={mtlsOptions("as the mesh says")}
        hint={mtlsHint}
      />
      <Text
        label="Further host names"
        pointer="/hostnames"
        value={fields.hostnames}
        onChange={(hostnames) => change({ hostnames })}
        disabled={disabled}
        mono
        placeholder="payments.internal, pay.example"
        hint="Optional, separated by commas. Callers always reach it by its name."
      />
      <div className="grid grid-cols-2 gap-4">
        <Text
          label="Timeout"
          pointer="/defaults/timeout"
          value={fields.timeout}
          onChange={(timeout) => change({ timeout })}
          disabled={disabled}
          mono
          placeholder="inherited"
          hint="For example 1.5s. Empty: what the mesh says."
        />
        <Text
          label="Retries"
          pointer="/defaults/retries/attempts"
          value={fields.attempts}
          onChange={(attempts) => change({ attempts })}
          disabled={disabled}
          mono
          placeholder="inherited"
          hint="How often a failed call is tried again; 0 is never."
        />
      </div>
    </>
  );
}
