// What the palette finds: of each group the best few, those that begin with the text first.
export interface Entry {
  group: string;
  text: string;
  about?: string;
  /** Found by this as well: an address, a longer name. */
  also?: string;
  go: () => void;
}

/** Of each group at most so many. */
const SHOWN = 6;

export function find(entries: Entry[], q: string): Entry[] {
  const wanted = q.trim().toLowerCase();
  const rank = ({ text, also = "" }: Entry) => {
    const name = text.toLowerCase();
    if (name.startsWith(wanted)) return 0;
    if (name.split(/[\s.-]+/).some((word) => word.startsWith(wanted))) return 1;
    return name.includes(wanted) ? 2 : also.toLowerCase().includes(wanted) ? 3 : 4;
  };
  const groups = new Map<string, { entry: Entry; rank: number }[]>();
  for (const entry of entries) {
    const found = { entry, rank: rank(entry) };
    if (found.rank === 4) continue;
    const group = groups.get(entry.group);
    if (group) group.push(found);
    else groups.set(entry.group, [found]);
  }
  return [...groups.values()].flatMap((group) =>
    group
      .sort((a, b) => a.rank - b.rank)
      .slice(0, SHOWN)
      .map(({ entry }) => entry),
  );
}

/** The revision that a text names: `12`, `#12`, `r12`, `revision 12`. */
export function revisionIn(q: string): number | null {
  const found = /^(?:#|r|rev|revision)?\s*(\d{1,15})$/i.exec(q.trim());
  return found === null ? null : Number(found[1]);
}
