// What differs between two revisions, object by object and field by field, as people read it.
import { clsx } from "clsx";
import { ArrowRight } from "lucide-react";
import type { Schemas } from "../api/client";
import type { Difference, ObjectChange } from "../api/history";
import { Badge, Card, type Tone } from "../ui/basics";
import { compareLines } from "../ui/lines";
import { Scroll } from "../ui/scroll";
import { yaml } from "../ui/yaml";
import { kindWord, ObjectLink, objectName } from "./object-link";
import { Quiet } from "./quiet";
import { ShareBar } from "./shares";

type FieldChange = Schemas["FieldChange"];

const tones: Record<ObjectChange["change"], Tone> = { added: "ok", changed: "warn", removed: "bad" };

export function Counts({ summary }: { summary: Schemas["RevisionSummary"] }) {
  const parts = (["added", "changed", "removed"] as const).filter((one) => summary[one] > 0);
  if (parts.length === 0) return <span className="text-muted">nothing</span>;
  return (
    <span className="inline-flex flex-wrap gap-1.5">
      {parts.map((one) => (
        <Badge key={one} tone={tones[one]}>
          {summary[one]} {one}
        </Badge>
      ))}
    </span>
  );
}

export function DiffView({ mesh, diff }: { mesh: string; diff: Pick<Difference, "items"> }) {
  if (diff.items.length === 0) return <Quiet>There is no difference.</Quiet>;
  return (
    <ul className="space-y-4">
      {diff.items.map((object) => (
        <li key={object.uid}>
          <ObjectDiff mesh={mesh} object={object} />
        </li>
      ))}
    </ul>
  );
}

function ObjectDiff({ mesh, object }: { mesh: string; object: ObjectChange }) {
  const name = objectName(object.path, mesh);
  return (
    <Card flush>
      <header className="flex items-center gap-3 px-5 py-3">
        <Badge tone={tones[object.change]}>{object.change}</Badge>
        <h3 className="min-w-0 truncate">
          <span className="font-normal text-muted">{kindWord(object.kind)} </span>
          {object.change === "removed" ? (
            name
          ) : (
            <ObjectLink mesh={mesh} path={object.path}>
              {name}
            </ObjectLink>
          )}
        </h3>
      </header>
      {(object.fields ?? []).map((field) => (
        <div key={field.pointer} className="border-t border-line px-5 py-3">
          <FieldDiff field={field} title={`${kindWord(object.kind)} ${name}`} />
        </div>
      ))}
    </Card>
  );
}

const simple = (value: unknown) => typeof value !== "object" || value === null;

/** `/defaults/timeout` as `defaults › timeout`. */
function pointerText(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .join(" › ");
}

function FieldDiff({ field, title }: { field: FieldChange; title: string }) {
  const label = pointerText(field.pointer);
  if (field.pointer !== "" && simple(field.before) && simple(field.after))
    return (
      <div className="grid grid-cols-[14rem_minmax(0,1fr)] items-baseline gap-4">
        <p className="text-muted">{label}</p>
        <p className="flex min-w-0 flex-wrap items-center gap-2">
          <Value value={field.before} tone="bad" word="before" />
          <ArrowRight aria-hidden className="size-4 shrink-0 text-muted" />
          <Value value={field.after} tone="ok" word="after" />
        </p>
      </div>
    );
  const [before, after] = [weights(field.before), weights(field.after)];
  if (field.pointer === "/weights" && before && after)
    return (
      <div className="grid grid-cols-[14rem_minmax(0,1fr)] items-center gap-4">
        <p className="text-muted">{label}</p>
        <div className="grid max-w-2xl grid-cols-[minmax(0,1fr)_auto_minmax(0,1fr)] items-center gap-5">
          <ShareBar weights={before} />
          <ArrowRight aria-hidden className="size-4 text-muted" />
          <ShareBar weights={after} />
        </div>
      </div>
    );
  return (
    <>
      {label && <p className="mb-2 text-muted">{label}</p>}
      <Lines before={field.before} after={field.after} label={label ? `${title}, ${label}` : title} />
    </>
  );
}

function weights(value: unknown): Schemas["SplitWeight"][] | null {
  const is = (one: unknown) => typeof one === "object" && one !== null && "version" in one && "weight" in one;
  return Array.isArray(value) && value.every(is) ? (value as Schemas["SplitWeight"][]) : null;
}

function Value({ value, tone, word }: { value: unknown; tone: "bad" | "ok"; word: string }) {
  return (
    <>
      <span className="sr-only">{word}: </span>
      {value === undefined ? (
        <span className="text-muted">not set</span>
      ) : (
        <code
          className={clsx(
            "rounded px-1.5 py-0.5 break-all",
            tone === "bad" ? "bg-bad-soft text-bad" : "bg-ok-soft text-ok",
          )}
        >
          {typeof value === "string" ? value : JSON.stringify(value)}
        </code>
      )}
    </>
  );
}

const looks = {
  same: { sign: " ", look: "" },
  added: { sign: "+", look: "bg-ok-soft text-ok" },
  removed: { sign: "−", look: "bg-bad-soft text-bad" },
};

function Lines({ before, after, label }: { before: unknown; after: unknown; label: string }) {
  const text = (value: unknown) => (value === undefined ? "" : yaml(value));
  return (
    <Scroll label={label} className="max-h-96 rounded-lg border border-line bg-sunken py-2">
      <pre className="w-fit min-w-full leading-6">
        {compareLines(text(before), text(after)).map((line, index) => (
          <span key={index} className={clsx("block px-3.5", looks[line.sign].look)}>
            {looks[line.sign].sign} {line.text}
          </span>
        ))}
      </pre>
    </Scroll>
  );
}
