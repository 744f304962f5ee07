// JSON values as YAML for people. Only what a document of ours can hold: no dates, no references, no comments.
const PLAIN = /^[A-Za-z_/][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*$/;
const WORDS = /^(true|false|null|yes|no|on|off|y|n)$/i;

export function yaml(value: unknown): string {
  return `${block(value, "")}\n`.replace(/^\n/, "");
}

function scalar(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value ?? null);
  return PLAIN.test(value) && !WORDS.test(value) ? value : JSON.stringify(value);
}

/** A value behind a key or a dash; what has lines of its own begins with a line break. */
function block(value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return value.map((item) => `\n${indent}- ${block(item, `${indent}  `).replace(/^\n\s*/, "")}`).join("");
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).filter(([, one]) => one !== undefined);
    if (entries.length === 0) return "{}";
    return entries
      .map(([key, one]) => {
        const text = block(one, `${indent}  `);
        return `\n${indent}${scalar(key)}:${text.startsWith("\n") ? text : ` ${text}`}`;
      })
      .join("");
  }
  return scalar(value);
}
