// What stands around a page for whoever is not signed in.
import type { ReactNode } from "react";
import { Mark } from "./mark";

export function Outside({
  title,
  notice,
  children,
  below,
}: {
  title: string;
  notice?: ReactNode;
  children: ReactNode;
  below?: ReactNode;
}) {
  return (
    <main className="flex min-h-screen items-center justify-center p-6">
      <div className="w-full max-w-[25rem]">
        <div className="mb-7 flex flex-col items-center gap-4 text-center">
          <Mark className="size-11" />
          <h1>{title}</h1>
        </div>
        {notice}
        <div className="rounded-2xl border border-line bg-surface p-6 shadow-card">{children}</div>
        {below && <p className="mt-5 text-center text-muted">{below}</p>}
      </div>
    </main>
  );
}

/** How a link looks that stands in a sentence. */
export const inText = "font-medium text-accent underline underline-offset-2";
