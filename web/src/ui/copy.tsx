import { Check, Copy } from "lucide-react";
import { useState } from "react";
import { Scroll } from "./scroll";

/** Text to take away: selectable, and copied with one click. */
export function Snippet({ text, label }: { text: string; label: string }) {
  return (
    <div className="relative min-w-0 rounded-lg border border-line bg-sunken">
      <Scroll label={label}>
        <pre className="w-fit p-3.5 pr-14 leading-6">{text}</pre>
      </Scroll>
      <CopyButton text={text} label={`Copy ${label}`} />
    </div>
  );
}

function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const Icon = copied ? Check : Copy;
  return (
    <button
      type="button"
      aria-label={copied ? "Copied" : label}
      title={copied ? "Copied" : label}
      onBlur={() => setCopied(false)}
      onClick={() => {
        void navigator.clipboard.writeText(text).then(() => setCopied(true));
      }}
      className="absolute top-2 right-2 rounded-md border border-line bg-surface p-1.5 text-muted hover:text-ink"
    >
      <Icon aria-hidden className="size-4" />
    </button>
  );
}
