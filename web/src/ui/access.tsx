// What the person in front of the console may do. The server decides; this only says it beforehand.
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ButtonHTMLAttributes } from "react";
import { whoamiQuery } from "../api/queries";
import type { Whoami } from "../api/types";
import { Button, type Kind } from "./basics";
import { ReadOnly } from "./states";

export type Permission =
  | "meshes:write"
  | "config:write"
  | "access:write"
  | "join_tokens:read"
  | "join_tokens:write"
  | "proxies:write"
  | "bootstrap:read"
  | "account:manage"
  | "members:write"
  | "service_accounts:write"
  | "role_bindings:write"
  | "tokens:write"
  | "webhooks:write";

export function useMay(permission: Permission): boolean {
  const { data } = useQuery(whoamiQuery());
  const { mesh } = useParams({ strict: false });
  return data !== undefined && permits(data, permission, mesh);
}

export function permits(
  who: Pick<Whoami, "permissions" | "meshes">,
  permission: Permission,
  mesh: string | undefined,
): boolean {
  const here = mesh === undefined ? [] : (who.meshes?.[mesh] ?? []);
  return who.permissions.includes(permission) || here.includes(permission);
}

export function ReadOnlyNote({ permission }: { permission: Permission }) {
  const { data } = useQuery(whoamiQuery());
  const { mesh } = useParams({ strict: false });
  if (data === undefined || permits(data, permission, mesh)) return null;
  return <ReadOnly permission={permission} role={data.role} />;
}

/** A button that is disabled, and says why, for who lacks its permission. */
export function Guarded({
  permission,
  disabled,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { permission: Permission; kind?: Kind }) {
  const may = useMay(permission);
  return (
    <Button
      {...rest}
      disabled={disabled || !may}
      title={may ? rest.title : `Needs the permission ${permission}`}
    />
  );
}
