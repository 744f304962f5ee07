// What a rotation is doing, and whom it waits for, in sentences.
import type { Rotation } from "../api/trust";

type Progress = NonNullable<Rotation["progress"]>;
export type Stand = Exclude<keyof Progress, "waiting_for" | "certificates" | "certificates_until">;

/** On the way to its end. */
export const steps: Rotation["state"][] = ["prepared", "published", "active", "retiring", "removed"];

export const whatText = { intermediate: "A new intermediate", root: "A new root" };
export const modeText = { planned: "planned", emergency: "emergency", break_trust: "trust broken" };

/** Where proxies stand, as parts of a whole. */
export const stands: [stand: Stand, word: string][] = [
  ["ready", "followed"],
  ["pending", "under way"],
  ["refused", "refusing"],
  ["offline", "away"],
  ["left_behind", "left behind"],
];

/** What holds now. */
export function stateText({ what, state, reversing }: Rotation): string {
  if (state === "cancelled")
    return "It was turned round: what was there before signs, and nothing else does.";
  if (reversing) return "What was there before signs again, and certificates of what was new are replaced.";
  return {
    prepared: "What is new is made and sealed. No proxy knows of it yet.",
    published: "Proxies are told to trust the new root beside the old one.",
    active: "What is new signs, and nothing else does. Every server has to know it.",
    retiring: "Certificates of what was before are replaced, one after the other.",
    removed:
      what === "root" ? "The old root is trusted by nobody." : "What was before signs nothing any more.",
  }[state];
}

const proxies = (n: number) => (n === 1 ? "1 proxy" : `${n} proxies`);
const certificates = (n: number) => (n === 1 ? "1 certificate" : `${n} certificates`);

/** Proxies, and certificates whose holders say nothing. */
function waitedFor({ waiting_for: all, certificates: requested }: Progress): string {
  const whom = all > requested ? [proxies(all - requested)] : [];
  if (requested > 0) whom.push(`${certificates(requested)} that the API gave out, until the end`);
  return whom.join(" and ");
}

/** What the next step waits for. */
export function gateText({ pace, progress }: Pick<Rotation, "pace" | "progress">): string {
  const waits = progress?.waiting_for ?? 0;
  const next =
    waits > 0
      ? `The next step waits for ${waitedFor(progress as Progress)}.`
      : pace === "manual"
        ? "Nobody is waited for: the next step is yours."
        : "Nobody is waited for: the next step is taken by itself.";
  const behind = progress?.left_behind ?? 0;
  if (behind === 0) return next;
  const who = behind === 1 ? "1 is left behind: it was" : `${behind} are left behind: they were`;
  const back =
    behind === 1 ? "it is told everything when it comes" : "they are told everything when they come";
  const its = behind === 1 ? "its certificate lasts" : "their certificates last";
  return `${next} ${who} away for longer than ${its}, and ${back} back.`;
}

/** What the step does that comes next, for whoever takes it. */
export function nextText({ what, state, reversing }: Pick<Rotation, "what" | "state" | "reversing">): string {
  if (reversing) return "What was new goes, and the rotation ends.";
  switch (state) {
    case "prepared":
      return "Proxies are told to trust the new root beside the old one.";
    case "published":
      return "What is new signs from then on.";
    case "active":
      return "Certificates of what was before are replaced.";
    default:
      return what === "root"
        ? "The old root is dropped, and nothing brings it back."
        : "What signed before goes, and nothing brings it back.";
  }
}
