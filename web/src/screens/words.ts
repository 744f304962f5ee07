// Configuration as sentences.
import type { Schemas } from "../api/client";
import type { AccessRule, Route } from "../api/types";

const and = (parts: string[]) => parts.filter((part) => part !== "").join(" with ");

function path(
  match: { exact?: string | null; prefix?: string | null; template?: string | null } | null | undefined,
): string {
  if (match?.exact) return match.exact;
  if (match?.template) return match.template;
  if (match?.prefix) return match.prefix === "/" ? "any path" : `${match.prefix} and below`;
  return "any path";
}

function headerText(header: Schemas["HeaderMatch"]): string {
  if (header.exact != null) return `${header.name}: ${header.exact}`;
  if (header.prefix != null) return `${header.name}: ${header.prefix}…`;
  return header.present === false ? `no ${header.name}` : header.name;
}

export function matchText(route: Pick<Route, "match">): string {
  if (!route.match || route.match.length === 0) return "Every request";
  const each = route.match.map((match) => {
    const methods = (match.methods ?? []).join(", ");
    const headers = (match.headers ?? []).map(headerText);
    return and([`${methods} ${path(match.path)}`.trim(), headers.join(", ")]);
  });
  const text = each.join(" or ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function backendText(route: Pick<Route, "backends">, service: string): string {
  return route.backends
    .map((backend) =>
      backend.version
        ? `version ${backend.version}`
        : backend.service === service
          ? "all instances"
          : String(backend.service),
    )
    .join(", ");
}

export function ruleCallers(rule: Pick<AccessRule, "from">): string {
  if (!rule.from) return "Every workload of the mesh";
  return rule.from
    .map((caller) => {
      const below = caller.spiffe_prefix == null ? "Whoever" : `${caller.spiffe_prefix} and below`;
      const who = caller.service ?? caller.spiffe ?? below;
      return caller.networks == null ? who : `${who} from ${caller.networks.join(" or ")}`;
    })
    .join(", ");
}

export function ruleTargets(rule: Pick<AccessRule, "to">): string {
  if (!rule.to || rule.to.length === 0) return "Every request";
  return rule.to
    .map((target) => {
      const methods = (target.methods ?? []).join(", ");
      const paths = (target.paths ?? []).map(path).join(", ");
      const headers = (target.headers ?? []).map(headerText).join(", ");
      const hosts = (target.hosts ?? []).join(", ");
      const ports = (target.ports ?? []).join(", ");
      const where = [hosts && ` at ${hosts}`, ports && ` on port ${ports}`].join("");
      return and([`${methods} ${paths || "any path"}${where}`.trim(), headers]);
    })
    .join("; ");
}
