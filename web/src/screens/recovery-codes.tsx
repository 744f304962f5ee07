// Recovery codes, which are shown once: to copy, or to keep as a file.
import { Download } from "lucide-react";
import { Button, Callout } from "../ui/basics";
import { Snippet } from "../ui/copy";

export function RecoveryCodes({ codes, done }: { codes: string[]; done: () => void }) {
  const text = codes.join("\n");
  return (
    <div className="space-y-4">
      <Callout tone="ok" title="Keep these recovery codes">
        Each lets you in once when your authenticator is lost. They are shown this once; those that you had
        before do not work any longer.
      </Callout>
      <Snippet label="recovery codes" text={text} />
      <div className="flex justify-end gap-2">
        <Button onClick={() => download(text)}>
          <Download aria-hidden className="size-4" /> Download
        </Button>
        <Button kind="primary" onClick={done}>
          I have kept them
        </Button>
      </div>
    </div>
  );
}

function download(text: string) {
  const url = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = "heddle-recovery-codes.txt";
  link.click();
  URL.revokeObjectURL(url);
}
