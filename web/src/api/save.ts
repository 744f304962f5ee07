// Writing: one request, its problem kept for the form, and everything that is shown asked for again.
import { useState } from "react";
import { say } from "../ui/toast";
import { asProblem, type Problem } from "./problem";
import { queryClient } from "./queries";

export function useSave<T>(send: () => Promise<T>, done: string | null, then?: (saved: T) => void) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  return {
    busy,
    problem,
    reset: () => setProblem(null),
    async run(): Promise<boolean> {
      setBusy(true);
      try {
        const answer = await send();
        setProblem(null);
        if (done) say(done);
        then?.(answer);
        await queryClient.invalidateQueries();
        return true;
      } catch (error) {
        setProblem(asProblem(error));
        return false;
      } finally {
        setBusy(false);
      }
    },
  };
}
