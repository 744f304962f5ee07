// What happens in the mesh that one looks at, told by the server as it happens: what is shown is then asked for again.
// A stream for each tab that can be seen; without one, screens ask by themselves, only more often.
import { useEffect } from "react";
import { api } from "./client";
import { streaming } from "./pace";
import { queryClient } from "./queries";

/** How long after a stream ended, or was refused, the next one is begun, in milliseconds. */
const AGAIN = 5_000;
/** Many events are answered by one look, in milliseconds. */
const TOGETHER = 400;

/** Only what asks by itself: a form that somebody fills in is not laid anew behind their back. */
function look(mesh: string) {
  void queryClient.invalidateQueries({
    predicate: (query) =>
      query.queryKey[0] === "mesh" &&
      query.queryKey[1] === mesh &&
      query.observers.some((observer) => Boolean(observer.options.refetchInterval)),
  });
}

/** Reads one stream to its end; says whether another one is of any use. */
async function follow(mesh: string, signal: AbortSignal, told: () => void): Promise<boolean> {
  const { response } = await api.GET("/v1/orgs/{org}/meshes/{mesh}/events", {
    params: { path: { org: "-", mesh } },
    headers: { accept: "text/event-stream" },
    parseAs: "stream",
    signal,
  });
  if (!response.ok || response.body === null) return response.status >= 500;
  streaming(1);
  try {
    // Between the last look and this stream something may have happened.
    told();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return true;
      // A heartbeat keeps the connection open, and is no news.
      if (/(^|\n)event: (?!heartbeat)/.test(value)) told();
    }
  } finally {
    streaming(-1);
  }
}

export function useLive(mesh: string | undefined) {
  useEffect(() => {
    if (mesh === undefined) return;
    let stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const told = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        look(mesh);
      }, TOGETHER);
    };
    const run = async ({ signal }: AbortController) => {
      while (!signal.aborted) {
        const more = await follow(mesh, signal, told).catch(() => true);
        if (!more || signal.aborted) return;
        await new Promise((again) => setTimeout(again, AGAIN));
      }
    };
    // A browser has few connections for one server: a tab in the background leaves its own to others.
    const seen = () => {
      stop.abort();
      stop = new AbortController();
      if (!document.hidden) void run(stop);
    };
    seen();
    document.addEventListener("visibilitychange", seen);
    return () => {
      document.removeEventListener("visibilitychange", seen);
      stop.abort();
      clearTimeout(timer);
    };
  }, [mesh]);
}
