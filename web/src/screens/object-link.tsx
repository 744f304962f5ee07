// An object by the end of its address, as a link to the screen that shows it.
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

/** What an object is called on its own: `payments / all` for a route, and for its split. */
export function objectName(path: string, mesh: string): string {
  if (path === "") return mesh;
  const names = path.split("/").filter((_, index) => index % 2 === 1);
  return names.join(" / ");
}

/** The end of the address of an object, from its kind and its path below the mesh: `payments/all`. */
export function pathOf(kind: string, name: string): string {
  const [service = "", below = ""] = name.split("/");
  switch (kind) {
    case "service":
      return `services/${service}`;
    case "route":
    case "split":
      return `services/${service}/routes/${below}`;
    case "access_rule":
      return `services/${service}/access-rules/${below}`;
    case "mesh":
      return "";
    default:
      return `${kind}s/${name}`;
  }
}

export const kindWord = (kind: string) => kind.replaceAll("_", " ");

export function ObjectLink({ mesh, path, children }: { mesh: string; path: string; children: ReactNode }) {
  const [collection, service, below, name] = path.split("/");
  const look = "font-medium text-accent hover:underline";
  if (path === "")
    return (
      <Link to="/meshes/$mesh/settings" params={{ mesh }} className={look}>
        {children}
      </Link>
    );
  if (collection !== "services" || service === undefined)
    return <span className="font-medium">{children}</span>;
  if (below === "routes" && name !== undefined)
    return (
      <Link
        to="/meshes/$mesh/services/$service/routes/$route"
        params={{ mesh, service, route: name }}
        className={look}
      >
        {children}
      </Link>
    );
  if (below === "access-rules" && name !== undefined)
    return (
      <Link
        to="/meshes/$mesh/services/$service/access/$rule"
        params={{ mesh, service, rule: name }}
        className={look}
      >
        {children}
      </Link>
    );
  return (
    <Link to="/meshes/$mesh/services/$service" params={{ mesh, service }} className={look}>
      {children}
    </Link>
  );
}
