// The few parts that every screen is made of.

import { clsx } from "clsx";
import { ChevronRight } from "lucide-react";
import type { ButtonHTMLAttributes, ReactNode } from "react";
import { cva, type VariantProps } from "./variants";

const button = cva(
  "inline-flex h-9 items-center justify-center gap-2 rounded-lg px-3.5 font-medium whitespace-nowrap transition-colors disabled:opacity-55",
  {
    primary: "bg-accent text-on-accent enabled:hover:bg-accent-strong",
    plain: "border border-line bg-surface text-ink shadow-card enabled:hover:bg-sunken",
    quiet: "text-muted enabled:hover:bg-sunken enabled:hover:text-ink",
    danger: "border border-line bg-surface text-bad shadow-card enabled:hover:bg-bad-soft",
  },
);

export type Kind = VariantProps<typeof button>;

export function Button({
  kind = "plain",
  className,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { kind?: Kind }) {
  return <button type="button" {...rest} className={clsx(button(kind), className)} />;
}

/** How a link looks that acts like a button. */
export const linkButton = (kind: Kind = "plain") =>
  clsx(button(kind), kind === "plain" && "hover:bg-sunken", kind === "primary" && "hover:bg-accent-strong");

export function Card({
  children,
  className,
  flush,
}: {
  children: ReactNode;
  className?: string;
  flush?: boolean;
}) {
  return (
    <section
      className={clsx("rounded-xl border border-line bg-surface shadow-card", !flush && "p-5", className)}
    >
      {children}
    </section>
  );
}

export function CardTitle({ children, aside }: { children: ReactNode; aside?: ReactNode }) {
  return (
    <header className="mb-4 flex min-h-9 items-center justify-between gap-4">
      <h2>{children}</h2>
      {aside}
    </header>
  );
}

const tones = {
  neutral: "bg-sunken text-muted",
  accent: "bg-accent-soft text-accent",
  ok: "bg-ok-soft text-ok",
  warn: "bg-warn-soft text-warn",
  bad: "bg-bad-soft text-bad",
};
export type Tone = keyof typeof tones;

export function Badge({
  tone = "neutral",
  dot,
  children,
}: {
  tone?: Tone;
  dot?: boolean;
  children: ReactNode;
}) {
  return (
    <span
      className={clsx(
        "inline-flex h-6 items-center gap-1.5 rounded-full px-2.5 text-[0.8571rem] font-medium whitespace-nowrap",
        tones[tone],
      )}
    >
      {dot && <span aria-hidden className="size-1.5 rounded-full bg-current" />}
      {children}
    </span>
  );
}

export function Callout({
  tone = "neutral",
  title,
  children,
  action,
}: {
  tone?: Tone;
  title?: ReactNode;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={clsx("flex items-start justify-between gap-4 rounded-xl px-4 py-3", tones[tone])}>
      <div className="min-w-0">
        {title && <p className="font-semibold">{title}</p>}
        <div className={clsx(tone === "neutral" ? "text-muted" : "text-ink")}>{children}</div>
      </div>
      {action}
    </div>
  );
}

export function PageHead({
  title,
  about,
  crumbs,
  actions,
  badge,
}: {
  title: string;
  about?: ReactNode;
  crumbs?: ReactNode;
  actions?: ReactNode;
  badge?: ReactNode;
}) {
  return (
    <header className="mb-6">
      {crumbs && (
        <nav aria-label="Breadcrumb" className="mb-2 flex items-center gap-1.5 text-muted">
          {crumbs}
        </nav>
      )}
      <div className="flex min-h-9 flex-wrap items-center justify-between gap-x-6 gap-y-3">
        <div className="flex min-w-0 items-center gap-3">
          <h1 className="truncate">{title}</h1>
          {badge}
        </div>
        <div className="flex items-center gap-2">{actions}</div>
      </div>
      {about && <p className="mt-1 max-w-[110ch] text-pretty text-muted">{about}</p>}
    </header>
  );
}

export function CrumbArrow() {
  return <ChevronRight aria-hidden className="size-3.5 shrink-0 text-edge" />;
}

export type Fact = [term: ReactNode, value: ReactNode];

export function Facts({ items }: { items: Fact[] }) {
  return (
    <dl className="grid grid-cols-[minmax(7rem,auto)_1fr] gap-x-6 gap-y-2.5">
      {items.map(([term, value], index) => (
        <div key={index} className="contents">
          <dt className="text-muted">{term}</dt>
          <dd className="min-w-0 break-words">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Mono({ children }: { children: ReactNode }) {
  return <code className="break-all">{children}</code>;
}
