import { Link } from "@tanstack/react-router";
import { Plug } from "lucide-react";
import { ActionLink } from "../ui/action-link";
import type { Kind } from "../ui/basics";

export function ConnectLink({ mesh, service, kind }: { mesh: string; service?: string; kind?: Kind }) {
  return (
    <ActionLink
      permission="join_tokens:write"
      kind={kind}
      link={(className, children) => (
        <Link
          to="/meshes/$mesh/connect"
          params={{ mesh }}
          search={service ? { service } : {}}
          className={className}
        >
          {children}
        </Link>
      )}
    >
      <Plug aria-hidden className="size-4" /> Connect a proxy
    </ActionLink>
  );
}
