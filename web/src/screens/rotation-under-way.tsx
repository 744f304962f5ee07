// The rotation that is under way: how far it is, whom it waits for, and what can be done with it.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { clsx } from "clsx";
import { Check } from "lucide-react";
import { type Rotation, rotationQuery } from "../api/trust";
import { called } from "../shell/shell";
import { Badge, Card, CardTitle, type Tone } from "../ui/basics";
import { Loaded } from "../ui/states";
import { Table } from "../ui/table";
import { Ago, Until } from "../ui/time";
import { RotationStep } from "./rotation-step";
import {
  gateText,
  modeText,
  nextText,
  type Stand,
  stands,
  stateText,
  steps,
  whatText,
} from "./rotation-words";

const fill: Record<Stand, string> = {
  ready: "bg-ok",
  pending: "bg-accent",
  refused: "bg-bad",
  offline: "bg-warn",
  left_behind: "bg-edge",
};
const tone: Record<Stand, Tone> = {
  ready: "ok",
  pending: "accent",
  refused: "bad",
  offline: "warn",
  left_behind: "neutral",
};
const word = new Map(stands);

export function RotationUnderWay({ mesh, uid }: { mesh: string; uid: string }) {
  const query = useQuery(rotationQuery(mesh, uid));
  return (
    <Loaded query={query} what="rotation">
      {(rotation) => (
        <>
          <Card>
            <CardTitle
              aside={
                <span className="flex gap-2">
                  {rotation.mode !== "planned" && <Badge tone="bad">{modeText[rotation.mode]}</Badge>}
                  {rotation.reversing && <Badge tone="warn">turned round</Badge>}
                  <Badge tone="accent" dot>
                    {rotation.state}
                  </Badge>
                </span>
              }
            >
              {whatText[rotation.what]}
            </CardTitle>
            {!rotation.reversing && <Steps state={rotation.state} />}
            <p className="font-medium">{stateText(rotation)}</p>
            <p aria-live="polite" className="text-muted">
              {rotation.meta.ended_at === null && gateText(rotation)}
            </p>
            {rotation.progress && <Bar progress={rotation.progress} />}
            <div className="mt-5 flex flex-wrap items-center justify-between gap-3">
              <p className="text-muted">
                Begun <Ago at={rotation.meta.created_at} /> by {called(rotation.meta.created_by)}, last step{" "}
                <Ago at={rotation.meta.moved_at} />
              </p>
              {rotation.meta.ended_at === null && <Actions mesh={mesh} rotation={rotation} />}
            </div>
          </Card>
          <Stragglers mesh={mesh} rotation={rotation} />
        </>
      )}
    </Loaded>
  );
}

function Steps({ state }: { state: Rotation["state"] }) {
  const at = steps.indexOf(state);
  return (
    <ol aria-label="Steps" className="mb-5 grid grid-cols-5 gap-2">
      {steps.map((step, index) => (
        <li
          key={step}
          aria-current={index === at ? "step" : undefined}
          className={clsx(
            "flex items-center gap-1.5 border-t-2 pt-2",
            index < at && "border-ok text-muted",
            index === at && "border-accent font-medium text-accent",
            index > at && "border-line text-muted",
          )}
        >
          {step}
          {index < at && <Check aria-label="done" className="size-4 text-ok" />}
        </li>
      ))}
    </ol>
  );
}

function Bar({ progress }: { progress: NonNullable<Rotation["progress"]> }) {
  const there = stands.filter(([stand]) => progress[stand] > 0);
  const total = there.reduce((sum, [stand]) => sum + progress[stand], 0);
  if (total === 0) return null;
  return (
    <div className="mt-4">
      <div
        role="progressbar"
        aria-label="Proxies that have followed"
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={progress.ready}
        className="flex h-2 gap-0.5 overflow-hidden rounded-full bg-sunken"
      >
        {there.map(([stand]) => (
          <span
            key={stand}
            className={clsx("transition-[width]", fill[stand])}
            style={{ width: `${(progress[stand] / total) * 100}%` }}
          />
        ))}
      </div>
      <ul className="mt-1.5 flex flex-wrap gap-x-4 text-[0.9286rem]">
        {there.map(([stand, text]) => (
          <li key={stand} className="flex items-center gap-1.5">
            <span aria-hidden className={clsx("size-2 rounded-full", fill[stand])} />
            <span className="tabular-nums">{progress[stand]}</span>
            <span className="text-muted">{text}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Actions({ mesh, rotation }: { mesh: string; rotation: Rotation }) {
  const waits = (rotation.progress?.waiting_for ?? 0) > 0;
  const next = nextText(rotation);
  return (
    <div className="flex gap-2">
      {!rotation.reversing && (
        <RotationStep
          mesh={mesh}
          rotation={rotation}
          action="reverse"
          verb="Turn round"
          title="Turn the rotation round?"
          about="What was there before signs again, and certificates of what is new are replaced."
        />
      )}
      {waits && (
        <RotationStep
          mesh={mesh}
          rotation={rotation}
          action="advance"
          force
          verb="Force the step"
          title="Take the next step without those who are missing?"
          about={`${next} Proxies that have not followed lose whom they trust, or are not trusted, until they come back.`}
        />
      )}
      {rotation.pace === "manual" && (
        <RotationStep
          mesh={mesh}
          rotation={rotation}
          action="advance"
          verb="Take the next step"
          title="Take the next step?"
          about={next}
          disabled={waits}
        />
      )}
    </div>
  );
}

/** Who has not followed, those first that are waited for. */
function Stragglers({ mesh, rotation }: { mesh: string; rotation: Rotation }) {
  const rows = (rotation.proxies ?? []).filter((one) => one.state !== "ready");
  if (rows.length === 0) return null;
  return (
    <section>
      <CardTitle>Who has not followed</CardTitle>
      <Table
        label="Who has not followed"
        rows={rows}
        id={(one) => one.uid}
        columns={[
          {
            head: "Proxy",
            wide: true,
            cell: (one) => (
              <Link
                to="/meshes/$mesh/proxies/$proxy"
                params={{ mesh, proxy: one.uid }}
                className="font-medium text-accent hover:underline"
              >
                {one.name}
              </Link>
            ),
          },
          { head: "Service", cell: (one) => one.service },
          { head: "State", cell: (one) => <Badge tone={tone[one.state]}>{word.get(one.state)}</Badge> },
          {
            head: "Certificate ends",
            cell: (one) =>
              one.state === "left_behind" ? "it has ended" : one.until ? <Until at={one.until} /> : "–",
          },
        ]}
      />
    </section>
  );
}
