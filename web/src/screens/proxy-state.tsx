import type { ProxyView } from "../api/types";
import { Badge } from "../ui/basics";
import { Ago } from "../ui/time";
import { stateTone, stateWord } from "./health";

export function ProxyState({ proxy }: { proxy: Pick<ProxyView, "state"> & { revoked?: boolean } }) {
  // Whatever it was doing, it may not come back.
  if (proxy.revoked) {
    return (
      <Badge tone="bad" dot>
        revoked
      </Badge>
    );
  }
  return (
    <Badge tone={stateTone[proxy.state] ?? "neutral"} dot>
      {stateWord[proxy.state] ?? proxy.state}
    </Badge>
  );
}

/** Who is connected is seen right now. */
export function LastSeen({ proxy }: { proxy: Pick<ProxyView, "state" | "meta"> }) {
  if (proxy.state !== "offline") return "now";
  return proxy.meta.last_seen_at ? <Ago at={proxy.meta.last_seen_at} /> : "–";
}
