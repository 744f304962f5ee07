// One short sentence about what was just done. Forms are laid anew when what they show has changed; this stays.
import { Check } from "lucide-react";
import { useSyncExternalStore } from "react";

const SHOWN = 5_000;
let current: string | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

function set(next: string | null) {
  current = next;
  for (const listener of listeners) listener();
}

export function say(text: string) {
  clearTimeout(timer);
  set(text);
  timer = setTimeout(() => set(null), SHOWN);
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

export function Toast() {
  const text = useSyncExternalStore(subscribe, () => current);
  return (
    <div role="status" className="pointer-events-none fixed right-6 bottom-6 z-20">
      {text && (
        <p className="flex items-center gap-2.5 rounded-xl border border-line bg-surface px-4 py-3 font-medium shadow-pop">
          <Check aria-hidden className="size-4 text-ok" /> {text}
        </p>
      )}
    </div>
  );
}
