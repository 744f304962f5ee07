// A long list is drawn in parts: a thousand rows take a browser longer than whoever looks for one of them.
import { useState } from "react";
import { Button } from "./basics";

/** What is drawn at once. */
const DRAWN = 100;

/** The rows to draw, and what stands below them while there are others. */
export function useMore<T>(rows: T[]) {
  const [drawn, setDrawn] = useState(DRAWN);
  const left = rows.length - drawn;
  const more = left > 0 && (
    <p className="mt-4 flex items-center justify-center gap-3 text-muted">
      The first {drawn} of {rows.length}
      <Button onClick={() => setDrawn(drawn + DRAWN)}>Show {Math.min(DRAWN, left)} more</Button>
    </p>
  );
  return { shown: rows.slice(0, drawn), more };
}
