// What differs between two texts, line by line.
export interface Line {
  sign: "same" | "added" | "removed";
  text: string;
}

/** Beyond this many pairs of lines the whole middle counts as replaced: nobody reads such a comparison. */
const LARGEST = 250_000;

export function compareLines(before: string, after: string): Line[] {
  const split = (text: string) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));
  const [a, b] = [split(before), split(after)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end])
    end++;
  const same = (lines: string[]): Line[] => lines.map((text) => ({ sign: "same", text }));
  return [
    ...same(a.slice(0, start)),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...same(a.slice(a.length - end)),
  ];
}

function middle(a: string[], b: string[]): Line[] {
  const removed = (lines: string[]): Line[] => lines.map((text) => ({ sign: "removed", text }));
  const added = (lines: string[]): Line[] => lines.map((text) => ({ sign: "added", text }));
  if (a.length * b.length > LARGEST) return [...removed(a), ...added(b)];
  // The longest common subsequence of what is left from each pair of places on.
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => longest[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      longest[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    const [left, right] = [a[i] as string, b[j] as string];
    if (left === right) {
      lines.push({ sign: "same", text: left });
      i++;
      j++;
    } else if (at(i + 1, j) >= at(i, j + 1)) {
      lines.push({ sign: "removed", text: left });
      i++;
    } else {
      lines.push({ sign: "added", text: right });
      j++;
    }
  }
  return [...lines, ...removed(a.slice(i)), ...added(b.slice(j))];
}
