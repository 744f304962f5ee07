// Deleting asks once, names what goes, and for what is large wants its name typed.
import { useState } from "react";
import type { Problem } from "../api/problem";
import { Guarded, type Permission } from "./access";
import { Button } from "./basics";
import { Dialog } from "./dialog";
import { Form, Text } from "./form";
import type { Request } from "./show-as";
import { ShowAs } from "./show-as";
import { Why } from "./why";

export function DeleteButton({
  what,
  name,
  consequence,
  permission,
  typed,
  why,
  request,
  remove,
  verb = "Delete",
}: {
  what: string;
  name: string;
  consequence: string;
  permission: Permission;
  typed?: boolean;
  request: Request;
  remove: {
    run: () => Promise<boolean>;
    busy: boolean;
    problem: Problem | null;
    reset: () => void;
    why: string;
    setWhy: (why: string) => void;
  };
  /** It is a change of a mesh that has a history. */
  why?: boolean;
  verb?: string;
}) {
  const [open, setOpen] = useState(false);
  const [answer, setAnswer] = useState("");
  return (
    <>
      <Guarded
        kind="danger"
        permission={permission}
        onClick={() => {
          remove.reset();
          setAnswer("");
          setOpen(true);
        }}
      >
        {verb} {what}
      </Guarded>
      {open && (
        <Dialog title={`${verb} ${what} ${name}?`} close={() => setOpen(false)}>
          <Form
            problem={remove.problem}
            pointers={[]}
            onSubmit={() => {
              void remove.run().then((gone) => gone && setOpen(false));
            }}
          >
            <p>{consequence}</p>
            {typed && (
              <Text label={`Type ${name} to confirm`} value={answer} onChange={setAnswer} mono autoFocus />
            )}
            {why && <Why save={remove} />}
            <div className="flex justify-end gap-2">
              <Button onClick={() => setOpen(false)}>Keep it</Button>
              <Button type="submit" kind="danger" disabled={remove.busy || (typed && answer !== name)}>
                {verb} {what}
              </Button>
            </div>
            <ShowAs request={{ ...request, why: remove.why }} />
          </Form>
        </Dialog>
      )}
    </>
  );
}
