// The browser's own dialog: it keeps the focus, closes with Escape and needs no style from a script.
import { clsx } from "clsx";
import { type ReactNode, useEffect, useId, useRef } from "react";

export function Dialog({
  title,
  close,
  wide,
  children,
}: {
  title: string;
  wide?: boolean;
  close: () => void;
  children: ReactNode;
}) {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    element.current?.showModal();
  }, []);
  return (
    <dialog
      ref={element}
      aria-labelledby={id}
      onClose={close}
      className={clsx(
        wide ? "w-[52rem]" : "w-[32rem]",
        "max-w-[calc(100vw-2rem)] rounded-2xl border border-line bg-surface p-6 shadow-pop",
      )}
    >
      <h2 id={id} className="mb-3">
        {title}
      </h2>
      {children}
    </dialog>
  );
}
