// Says when the page shows what it came for: nothing that it asked for is still on its way, and it has been painted.
// The mark can be read by who measures: `performance.getEntriesByName("content-ready")`.
import { useIsFetching } from "@tanstack/react-query";
import { useRouterState } from "@tanstack/react-router";
import { useEffect } from "react";

export const READY = "content-ready";

export function useReadyMark() {
  const waiting = useIsFetching({ predicate: (query) => query.state.status === "pending" });
  const page = useRouterState({ select: (state) => (state.isLoading ? null : state.location.pathname) });
  useEffect(() => {
    if (waiting > 0 || page === null) return;
    // What came may ask for more as soon as it is drawn; the second frame follows the paint of the first.
    let frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => performance.mark(READY, { detail: page }));
    });
    return () => cancelAnimationFrame(frame);
  }, [waiting, page]);
}
