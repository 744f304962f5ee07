// Writing: one request, its problem kept for the form, and everything that is shown asked for again.
import { useState } from "react";
import { say } from "../ui/toast";
import { type Note, noteOf } from "./note";
import { asProblem, type Problem } from "./problem";
import { queryClient } from "./queries";

export function useSave<T>(send: (note: Note) => Promise<T>, done: string | null, then?: (saved: T) => void) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [why, setWhy] = useState("");
  return {
    why,
    setWhy,
    busy,
    problem,
    reset: () => {
      setProblem(null);
      setWhy("");
    },
    async run(): Promise<boolean> {
      setBusy(true);
      try {
        const answer = await send(noteOf(why));
        setProblem(null);
        setWhy("");
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
