// What is shown this once.
import { Button, Callout } from "./basics";
import { Snippet } from "./copy";

export function SecretOnce({
  what,
  secret,
  about,
  done,
}: {
  what: string;
  secret: string;
  about: string;
  done: () => void;
}) {
  return (
    <div className="space-y-4">
      <Callout tone="ok" title="Copy it now">
        It is shown this once and kept nowhere in readable form.
      </Callout>
      <Snippet label={what} text={secret} />
      <p className="text-muted">{about}</p>
      <div className="flex justify-end">
        <Button kind="primary" onClick={done}>
          I have copied it
        </Button>
      </div>
    </div>
  );
}
