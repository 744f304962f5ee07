// Rows under headings: scrolls sideways by itself, never with the page.

import { clsx } from "clsx";
import { type ReactNode, useState } from "react";
import { Button } from "./basics";
import { Scroll } from "./scroll";

export interface Column<T> {
  head: string;
  cell: (row: T) => ReactNode;
  /** Numbers stand at the right. */
  number?: boolean;
  wide?: boolean;
}

/** What is drawn at once: a thousand rows take a browser longer than whoever looks for one of them. */
const DRAWN = 100;

export function Table<T>({
  label,
  columns,
  rows,
  id,
}: {
  label: string;
  columns: Column<T>[];
  rows: T[];
  id: (row: T) => string;
}) {
  const [drawn, setDrawn] = useState(DRAWN);
  const left = rows.length - drawn;
  return (
    <>
      <Scroll label={label} className="rounded-xl border border-line bg-surface shadow-card">
        <table className="w-full border-collapse text-left">
          <thead>
            <tr className="border-b border-line text-[0.8571rem] text-muted">
              {columns.map((column) => (
                <th
                  key={column.head}
                  scope="col"
                  className={clsx("h-10 px-4 font-medium whitespace-nowrap", column.number && "text-right")}
                >
                  {column.head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, drawn).map((row) => (
              <tr key={id(row)} className="border-b border-line last:border-0 hover:bg-sunken/60">
                {columns.map((column) => (
                  <td
                    key={column.head}
                    className={clsx(
                      "h-12 px-4",
                      column.number && "text-right tabular-nums",
                      column.wide ? "w-full" : "whitespace-nowrap",
                    )}
                  >
                    {column.cell(row)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {left > 0 && (
        <p className="mt-4 flex items-center justify-center gap-3 text-muted">
          The first {drawn} of {rows.length}
          <Button onClick={() => setDrawn(drawn + DRAWN)}>Show {Math.min(DRAWN, left)} more</Button>
        </p>
      )}
    </>
  );
}
