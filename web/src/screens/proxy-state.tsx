import type { ProxyView } from "../api/types";
import { Badge } from "../ui/basics";
import { stateTone, stateWord } from "./health";

export function ProxyState({ proxy }: { proxy: Pick<ProxyView, "state"> }) {
  return (
    <Badge tone={stateTone[proxy.state] ?? "neutral"} dot>
      {stateWord[proxy.state] ?? proxy.state}
    </Badge>
  );
}
