// A search field whose text is part of the address, so that a link shows the same rows.
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Search } from "lucide-react";

export interface Filter {
  q?: string;
  state?: string;
  view?: string;
  group?: string;
  open?: string;
  as?: string;
}

export function useFilter() {
  const search = useSearch({ strict: false }) as Filter;
  const navigate = useNavigate();
  return {
    ...search,
    set(change: Filter) {
      const next = { ...search, ...change };
      for (const key of Object.keys(next) as (keyof Filter)[]) if (!next[key]) delete next[key];
      void navigate({ to: ".", search: next as never, replace: true });
    },
  };
}

export function SearchField({
  label,
  q,
  set,
}: {
  label: string;
  q: string | undefined;
  set: (q: string) => void;
}) {
  return (
    <div className="relative w-72">
      <Search aria-hidden className="pointer-events-none absolute top-2.5 left-3 size-4 text-muted" />
      <input
        type="search"
        aria-label={label}
        placeholder={label}
        value={q ?? ""}
        onChange={(event) => set(event.target.value)}
        className="h-9 w-full rounded-lg border border-edge/60 bg-surface pr-3 pl-9 placeholder:text-muted"
      />
    </div>
  );
}
