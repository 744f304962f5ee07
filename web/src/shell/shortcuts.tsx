import type { ReactNode } from "react";
import { Dialog } from "../ui/dialog";
import { Check } from "../ui/form";
import { meshPlaces, orgPlaces, type Place, singleKeys, useSingleKeys } from "./keys";

export const modifier = () => (/Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘" : "Ctrl");

export function Shortcuts({ mesh, close }: { mesh: string | undefined; close: () => void }) {
  const on = useSingleKeys();
  const places = (list: Place[]): [string[], string][] => list.map(({ key, text }) => [["g", key], text]);
  return (
    <Dialog title="Keyboard shortcuts" close={close} wide>
      <div className="grid gap-x-10 gap-y-6 sm:grid-cols-2">
        <Group
          title="Everywhere"
          rows={[
            [[modifier(), "K"], "Find a page, service, proxy or revision"],
            [["/"], "Search in this list"],
            [["?"], "These shortcuts"],
            [["Esc"], "Close what is open"],
          ]}
        />
        {mesh !== undefined && <Group title={`In ${mesh}`} rows={places(meshPlaces)} />}
        <Group title="In the organisation" rows={places(orgPlaces)} />
      </div>
      <div className="mt-6 border-t border-line pt-4">
        <Check
          label="Use shortcuts of single keys"
          hint={`Turn them off if they get in your way; ${modifier()} K stays.`}
          checked={on}
          onChange={singleKeys.set}
        />
      </div>
    </Dialog>
  );
}

function Group({ title, rows }: { title: string; rows: [keys: string[], text: string][] }) {
  return (
    <section>
      <h3 className="mb-2">{title}</h3>
      <dl className="space-y-1.5">
        {rows.map(([keys, text]) => (
          <div key={text} className="flex items-center justify-between gap-4">
            <dt className="text-muted">{text}</dt>
            <dd className="flex shrink-0 gap-1">
              {keys.map((key) => (
                <Key key={key}>{key}</Key>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

export function Key({ children }: { children: ReactNode }) {
  return (
    <kbd className="inline-flex h-6 min-w-6 items-center justify-center rounded-md border border-line bg-sunken px-1.5 font-sans text-[0.8571rem] text-muted">
      {children}
    </kbd>
  );
}
