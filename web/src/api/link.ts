// The secret of a link that came by mail. It stands behind the `#`, so no server and no log sees it there; here it is taken
// out of the address as well, so that neither the history nor a screenshot keeps it.
import { useEffect, useState } from "react";

export function useLinkSecret(): string {
  const [secret] = useState(() => location.hash.slice(1));
  useEffect(() => {
    if (location.hash !== "") history.replaceState(history.state, "", location.pathname + location.search);
  }, []);
  return secret;
}
