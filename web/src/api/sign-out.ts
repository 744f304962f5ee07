// Signing out ends the session at the server, so that no copy of its tokens works any longer.
import { api } from "./client";
import { good } from "./problem";
import { queryClient } from "./queries";
import { session } from "./session";

/** A server that does not answer keeps nobody signed in. */
const PATIENCE = 3_000;

export async function signOut(): Promise<void> {
  const uid = session.uid();
  if (uid !== null) {
    const call = api.DELETE("/v1/orgs/{org}/sessions/{session}", {
      params: { path: { org: "-", session: uid } },
      signal: AbortSignal.timeout(PATIENCE),
    });
    await good(call).catch(() => undefined);
  }
  session.end();
  queryClient.clear();
}
