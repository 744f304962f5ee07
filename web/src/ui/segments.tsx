// A few choices side by side, one of which is on.
import { clsx } from "clsx";

export function Segments({
  legend,
  options,
  value,
  set,
}: {
  legend: string;
  options: [value: string, text: string][];
  value: string;
  set: (value: string) => void;
}) {
  return (
    <fieldset className="flex rounded-lg border border-line bg-surface p-0.5">
      <legend className="sr-only">{legend}</legend>
      {options.map(([one, text]) => (
        <button
          key={one}
          type="button"
          aria-pressed={one === value}
          onClick={() => set(one)}
          className={clsx(
            "h-8 rounded-md px-3 font-medium",
            one === value ? "bg-accent-soft text-accent" : "text-muted hover:text-ink",
          )}
        >
          {text}
        </button>
      ))}
    </fieldset>
  );
}
