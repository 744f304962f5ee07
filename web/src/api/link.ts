// The secret of a link that came by mail. It stands behind the `#`, so no server and no log sees it there; here it is taken
// out of the address as well, so that neither the history nor a screenshot keeps it.
import { useEffect, useState } from "react";

const strip = () => history.replaceState(history.state, "", location.pathname + location.search);

/** The link that the page was opened with last. A newer one may be opened in the same tab, which loads nothing: `number` says which it is. */
export function useLink(): { secret: string; number: number } {
  const [link, setLink] = useState(() => ({ secret: location.hash.slice(1), number: 0 }));
  useEffect(() => {
    const look = () => {
      const secret = location.hash.slice(1);
      if (secret === "") return;
      strip();
      setLink((before) => ({ secret, number: before.number + 1 }));
    };
    if (location.hash !== "") strip();
    window.addEventListener("hashchange", look);
    return () => window.removeEventListener("hashchange", look);
  }, []);
  return link;
}
