// A list inside a form: a row for each, a way to remove it, and a way to add one more.
import { Plus, X } from "lucide-react";
import type { ReactNode } from "react";
import { Button } from "./basics";

export function Rows<T>({
  legend,
  one,
  rows,
  set,
  added,
  least = 0,
  hint,
  columns,
  disabled,
  children,
}: {
  legend: string;
  /** What a row is, in one lower-case word. */
  one: string;
  rows: T[];
  set: (rows: T[]) => void;
  /** What the next row begins as. */
  added: () => T;
  /** So many must stay. */
  least?: number;
  hint: ReactNode;
  /** How the fields of a row share its width; the last column is the way to remove it. */
  columns: string;
  disabled: boolean;
  /** The fields of one row, and how to change it. */
  children: (row: T, index: number, change: (next: T) => void) => ReactNode;
}) {
  return (
    <fieldset>
      <legend className="mb-1.5 font-medium">{legend}</legend>
      <div className="space-y-2">
        {rows.map((row, index) => (
          <div key={index} className={`grid items-start gap-2 ${columns}`}>
            {children(row, index, (next) => set(rows.map((old, at) => (at === index ? next : old))))}
            <Button
              kind="quiet"
              aria-label={`Remove ${one} ${index + 1}`}
              disabled={disabled || rows.length <= least}
              onClick={() => set(rows.filter((_, at) => at !== index))}
            >
              <X aria-hidden className="size-4" />
            </Button>
          </div>
        ))}
      </div>
      <div className="mt-2 flex items-center justify-between gap-4">
        <p className="text-[0.9286rem] text-muted">{hint}</p>
        <Button kind="quiet" disabled={disabled} onClick={() => set([...rows, added()])}>
          <Plus aria-hidden className="size-4" /> Add {one}
        </Button>
      </div>
    </fieldset>
  );
}
