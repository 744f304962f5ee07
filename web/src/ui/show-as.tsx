// What a form is about to do, as everything else would do it: the console is one client among several.
import { clsx } from "clsx";
import { useState } from "react";
import { Snippet } from "./copy";
import { yaml } from "./yaml";

export interface Request {
  method: "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  body?: unknown;
  ifMatch?: string;
  /** Why, as the history of the mesh shows it. */
  why?: string;
  /** The kind and the names that an object's document begins with; without it there is no document. */
  document?: Record<string, string>;
}

/** Text between single quotes for a POSIX shell. */
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(request: Request, origin: string): string {
  const lines = [`curl -fsS -X ${request.method} ${quoted(origin + request.path)}`];
  lines.push('-H "Authorization: Bearer $HEDDLE_TOKEN"');
  if (request.ifMatch) lines.push(`-H ${quoted(`If-Match: ${request.ifMatch}`)}`);
  const why = request.why?.trim();
  if (why) lines.push(`-H ${quoted(`Heddle-Message: ${why}`)}`);
  if (request.body !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(request.body))}`);
  }
  return lines.join(" \\\n  ");
}

export function ShowAs({ request }: { request: Request }) {
  const [form, setForm] = useState<"curl" | "yaml" | null>(null);
  const forms = request.document ? (["curl", "yaml"] as const) : (["curl"] as const);
  const names = { curl: "curl", yaml: "YAML" };
  const body = typeof request.body === "object" && request.body !== null ? request.body : {};
  return (
    <div className="border-t border-line pt-4">
      <div className="flex items-center gap-1">
        <span className="mr-2 text-muted">Show as</span>
        {forms.map((one) => (
          <button
            key={one}
            type="button"
            aria-pressed={form === one}
            onClick={() => setForm(form === one ? null : one)}
            className={clsx(
              "h-7 rounded-md px-2.5 font-medium",
              form === one ? "bg-accent-soft text-accent" : "text-muted hover:bg-sunken hover:text-ink",
            )}
          >
            {names[one]}
          </button>
        ))}
      </div>
      {form && (
        <div className="mt-3">
          <Snippet
            label={names[form]}
            text={form === "curl" ? curl(request, location.origin) : yaml({ ...request.document, ...body })}
          />
        </div>
      )}
    </div>
  );
}
