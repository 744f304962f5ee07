// What the rules of a service mean for one caller, as a whole: the proxies decide about each request.
import type { AccessRule } from "../api/types";

export type Judgement = "allow" | "deny" | "some" | "default_deny" | "default_allow";

export function judge(
  caller: string,
  rules: Pick<AccessRule, "action" | "from" | "to" | "report_only" | "expires">[],
  fallback: "allow" | "deny",
): Judgement {
  const now = Date.now();
  const inForce = (rule: (typeof rules)[number]) =>
    !rule.report_only && (rule.expires == null || Date.parse(rule.expires) > now);
  // By the beginning of a SPIFFE id, or by networks alone, a rule may mean this caller, too: the proxies know.
  const means = (from: NonNullable<AccessRule["from"]>[number]) =>
    from.service === caller || (from.service == null && from.spiffe == null);
  const own = rules.filter((rule) => inForce(rule) && (!rule.from || rule.from.some(means)));
  const certain = (rule: (typeof rules)[number]) =>
    !rule.from || rule.from.some((from) => from.service === caller && from.networks == null);
  const whole = (action: "allow" | "deny") =>
    own.some((rule) => rule.action === action && (rule.to ?? []).length === 0 && certain(rule));
  if (whole("deny")) return "deny";
  const denied = own.some((rule) => rule.action === "deny");
  if (whole("allow")) return denied ? "some" : "allow";
  const allowed = own.some((rule) => rule.action === "allow");
  if (fallback === "allow") return denied ? "some" : "default_allow";
  return allowed ? "some" : "default_deny";
}
