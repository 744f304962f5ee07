// Rows under headings: scrolls sideways by itself, never with the page.

import { clsx } from "clsx";
import type { ReactNode } from "react";
import { useMore } from "./more";
import { Scroll } from "./scroll";

export interface Column<T> {
  head: string;
  cell: (row: T) => ReactNode;
  /** Numbers stand at the right. */
  number?: boolean;
  /** Buttons stand at the right as well. */
  end?: boolean;
  wide?: boolean;
}

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
  const { shown, more } = useMore(rows);
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
                  className={clsx(
                    "h-10 px-4 font-medium whitespace-nowrap",
                    (column.number || column.end) && "text-right",
                  )}
                >
                  {column.head}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <tr key={id(row)} className="border-b border-line last:border-0 hover:bg-sunken/60">
                {columns.map((column) => (
                  <td
                    key={column.head}
                    className={clsx(
                      "h-12 px-4",
                      column.number && "text-right tabular-nums",
                      column.end && "text-right",
                      column.wide ? "min-w-48 py-2" : "whitespace-nowrap",
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
      {more}
    </>
  );
}
