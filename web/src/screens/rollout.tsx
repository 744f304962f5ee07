// How far a revision has come: who has it, and who holds it up, with the reason.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { rolloutQuery } from "../api/history";
import { Badge, Card, CardTitle, type Tone } from "../ui/basics";
import { Loaded } from "../ui/states";

type Rollout = Schemas["Rollout"];

const states: Record<Rollout["state"], { tone: Tone; word: string }> = {
  live: { tone: "ok", word: "Live" },
  under_way: { tone: "accent", word: "Under way" },
  refused: { tone: "bad", word: "Refused" },
  waiting: { tone: "warn", word: "Waiting" },
};

const reasons: Record<Schemas["HeldUp"]["reason"], string> = {
  refused: "refuses a part of its configuration",
  offline: "is not connected; it gets it when it comes back",
  slow: "was sent it more than ten seconds ago and has not acknowledged it",
  connecting: "has just connected",
  server: "has not been sent it yet",
  under_way: "is getting it",
};

/** In one sentence, for people. */
export function rolloutText(rollout: Rollout): string {
  const awaited = rollout.target - rollout.gone;
  const have = rollout.acked + rollout.skipped;
  if (rollout.target === 0) return "No proxy has connected to this mesh yet.";
  const not = rollout.skipped > 0 ? ` ${rollout.skipped} of them needed nothing of it.` : "";
  return have === awaited
    ? `${awaited === 1 ? "Its only proxy has" : `All ${awaited} proxies have`} it.${not}`
    : `${have} of ${awaited} proxies have it.${not}`;
}

export function RolloutCard({ mesh, revision }: { mesh: string; revision: string }) {
  const query = useQuery(rolloutQuery(mesh, revision));
  return (
    <Card>
      <CardTitle
        aside={
          query.data && (
            <Badge tone={states[query.data.state].tone} dot>
              {states[query.data.state].word}
            </Badge>
          )
        }
      >
        Where it is
      </CardTitle>
      <Loaded query={query} what="rollout" rows={2}>
        {(rollout) => (
          <>
            <p aria-live="polite">{rolloutText(rollout)}</p>
            {rollout.held_up_by.length > 0 && (
              <ul className="mt-3 space-y-1.5">
                {rollout.held_up_by.slice(0, 10).map((one) => (
                  <li key={one.uid}>
                    <Link
                      to="/meshes/$mesh/proxies/$proxy"
                      params={{ mesh, proxy: one.uid }}
                      className="font-medium text-accent underline underline-offset-2"
                    >
                      {one.name}
                    </Link>{" "}
                    <span className="text-muted">{reasons[one.reason]}.</span>
                  </li>
                ))}
                {rollout.held_up_by.length > 10 && (
                  <li className="text-muted">And {rollout.held_up_by.length - 10} more.</li>
                )}
              </ul>
            )}
          </>
        )}
      </Loaded>
    </Card>
  );
}
