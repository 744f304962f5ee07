// How requests are shared between versions.
import { clsx } from "clsx";
import type { Schemas } from "../api/client";

type Weight = Schemas["SplitWeight"];

export function share(weight: number, weights: Weight[]): number {
  const sum = weights.reduce((total, one) => total + one.weight, 0);
  return sum === 0 ? 0 : (weight / sum) * 100;
}

export const percent = (value: number) => `${Number(value.toFixed(1))}%`;

const fills = ["bg-accent", "bg-ok", "bg-warn", "bg-bad", "bg-edge"];

export function ShareBar({ weights }: { weights: Weight[] }) {
  return (
    <div>
      <div aria-hidden className="flex h-2 gap-0.5 overflow-hidden rounded-full bg-sunken">
        {weights.map((one, index) => (
          <span
            key={one.version}
            className={clsx("transition-[width]", fills[index % fills.length])}
            style={{ width: `${share(one.weight, weights)}%` }}
          />
        ))}
      </div>
      <ul className="mt-1.5 flex flex-wrap gap-x-4 text-[0.9286rem]">
        {weights.map((one, index) => (
          <li key={one.version} className="flex items-center gap-1.5">
            <span aria-hidden className={clsx("size-2 rounded-full", fills[index % fills.length])} />
            <span>{one.version}</span>
            <span className="text-muted tabular-nums">{percent(share(one.weight, weights))}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
