// To anything by its name: pages, meshes, and in a mesh its services, proxies (by address too) and revisions.
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { clsx } from "clsx";
import { Search } from "lucide-react";
import { useEffect, useId, useRef, useState } from "react";
import { meshesQuery, meshQuery, proxiesQuery, servicesQuery } from "../api/queries";
import { type Entry, find, revisionIn } from "./find";
import { meshPlaces, orgPlaces, type Place } from "./keys";

export function Palette({ mesh, close }: { mesh: string | undefined; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const [q, setQ] = useState("");
  const [at, setAt] = useState(0);
  const { entries, waiting } = useEntries(mesh, q);
  const found = find(entries, q);
  const current = Math.min(at, found.length - 1);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  });
  const choose = (entry: Entry | undefined) => {
    if (entry === undefined) return;
    dialog.current?.close();
    entry.go();
  };
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: a click beside it closes, and so does Escape
    <dialog
      ref={dialog}
      aria-label="Find"
      onClose={close}
      onClick={(event) => event.target === dialog.current && dialog.current.close()}
      className="mt-[12vh] mb-auto w-[38rem] max-w-[calc(100vw-2rem)] overflow-hidden rounded-2xl border border-line bg-surface p-0 shadow-pop"
    >
      <div className="relative border-b border-line">
        <Search aria-hidden className="pointer-events-none absolute top-4 left-4 size-4 text-muted" />
        <input
          role="combobox"
          aria-label="Find"
          aria-expanded={found.length > 0}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={found.length > 0 ? `${id}-${current}` : undefined}
          placeholder={
            mesh === undefined ? "Find a page or mesh" : "Find a page, service, proxy, address or revision"
          }
          autoComplete="off"
          spellCheck={false}
          value={q}
          onChange={(event) => {
            setQ(event.target.value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
            if (step !== undefined && found.length > 0) {
              event.preventDefault();
              setAt((current + step + found.length) % found.length);
            } else if (event.key === "Enter") {
              event.preventDefault();
              choose(found[current]);
            }
          }}
          className="h-12 w-full bg-transparent pr-4 pl-11 outline-none placeholder:text-muted"
        />
      </div>
      <div
        ref={list}
        id={`${id}-list`}
        role="listbox"
        aria-label="Found"
        className="max-h-[50vh] overflow-y-auto p-2"
      >
        {found.map((entry, index) => (
          <div key={`${entry.group} ${entry.text} ${entry.also ?? ""}`} role="presentation">
            {entry.group !== found[index - 1]?.group && (
              <p role="presentation" className="px-3 pt-3 pb-1 text-[0.8571rem] text-muted">
                {entry.group}
              </p>
            )}
            {/* biome-ignore lint/a11y/useKeyWithClickEvents: the field above takes the keys */}
            <div
              id={`${id}-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === current}
              onClick={() => choose(entry)}
              onMouseMove={() => setAt(index)}
              className={clsx(
                "flex cursor-pointer items-center justify-between gap-4 rounded-lg px-3 py-2",
                index === current ? "bg-accent-soft text-accent" : "text-ink",
              )}
            >
              <span className="truncate font-medium">{entry.text}</span>
              {entry.about && <span className="shrink-0 text-[0.9286rem] text-muted">{entry.about}</span>}
            </div>
          </div>
        ))}
        {found.length === 0 && (
          <p className="px-3 py-6 text-center text-muted">
            {waiting ? "Looking…" : "Nothing is called that."}
          </p>
        )}
      </div>
    </dialog>
  );
}

function useEntries(mesh: string | undefined, q: string): { entries: Entry[]; waiting: boolean } {
  const navigate = useNavigate();
  const here = mesh ?? "";
  const inside = mesh !== undefined;
  const meshes = useQuery(meshesQuery());
  const { data: about } = useQuery({ ...meshQuery(here), enabled: inside });
  const services = useQuery({ ...servicesQuery(here), enabled: inside });
  // Only who writes something looks for one of them.
  const proxies = useQuery({ ...proxiesQuery(here), enabled: inside && q.trim() !== "" });
  const place = (group: string, { text, to }: Place): Entry => ({
    group,
    text,
    go: () => void navigate({ to: to as "/", params: { mesh: here } as never }),
  });
  const revision = revisionIn(q);
  const newest = about?.status?.revision ?? about?.meta.revision ?? 0;
  const entries: Entry[] = [
    ...(inside ? meshPlaces.map((one) => place(here, one)) : []),
    ...(services.data ?? []).map((one) => ({
      group: "Services",
      text: one.name,
      about: one.display_name ?? undefined,
      also: [one.display_name, ...(one.hostnames ?? [])].join(" "),
      go: () =>
        void navigate({ to: "/meshes/$mesh/services/$service", params: { mesh: here, service: one.name } }),
    })),
    ...(proxies.data ?? []).map((one) => ({
      group: "Proxies",
      text: one.name,
      about: [one.service, one.address].filter(Boolean).join(" · "),
      also: [one.service, one.address, one.meta.uid].join(" "),
      go: () =>
        void navigate({ to: "/meshes/$mesh/proxies/$proxy", params: { mesh: here, proxy: one.meta.uid } }),
    })),
    ...(inside && revision !== null && revision > 0 && revision <= newest
      ? [
          {
            group: "Revisions",
            text: `Revision ${revision}`,
            also: q.trim(),
            go: () =>
              void navigate({
                to: "/meshes/$mesh/history/$revision",
                params: { mesh: here, revision: String(revision) },
                search: {},
              }),
          },
        ]
      : []),
    ...(meshes.data ?? [])
      .filter((one) => one.name !== mesh)
      .map((one) => ({
        group: "Meshes",
        text: one.name,
        about: one.display_name ?? undefined,
        also: one.display_name ?? undefined,
        go: () => void navigate({ to: "/meshes/$mesh", params: { mesh: one.name } }),
      })),
    ...orgPlaces.map((one) => place("Organisation", one)),
  ];
  return { entries, waiting: [meshes, services, proxies].some((query) => query.isFetching) };
}
