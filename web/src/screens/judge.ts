// What the rules of a service mean for one caller, as a whole: the proxies decide about each request.
import type { AccessRule } from "../api/types";

export type Judgement = "allow" | "deny" | "some" | "default_deny" | "default_allow";

export function judge(
  caller: string,
  rules: Pick<AccessRule, "action" | "from" | "to">[],
  fallback: "allow" | "deny",
): Judgement {
  const own = rules.filter((rule) => !rule.from || rule.from.some((from) => from.service === caller));
  const whole = (action: "allow" | "deny") =>
    own.some((rule) => rule.action === action && (rule.to ?? []).length === 0);
  if (whole("deny")) return "deny";
  const denied = own.some((rule) => rule.action === "deny");
  if (whole("allow")) return denied ? "some" : "allow";
  const allowed = own.some((rule) => rule.action === "allow");
  if (fallback === "allow") return denied ? "some" : "default_allow";
  return allowed ? "some" : "default_deny";
}
