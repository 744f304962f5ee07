// The frames that every object's forms have: making one, changing one, deleting one.
import type { ReactNode } from "react";
import type { Problem } from "../api/problem";
import { Guarded, type Permission, useMay } from "./access";
import { Card, CardTitle } from "./basics";
import { DeleteButton } from "./delete";
import { Form, Text } from "./form";
import { type Request, ShowAs } from "./show-as";
import { Why } from "./why";

export interface Save {
  run: () => Promise<boolean>;
  busy: boolean;
  problem: Problem | null;
  reset: () => void;
  why: string;
  setWhy: (why: string) => void;
}

/** A new object: its name, its fields, and the request that makes it. */
export function CreateForm({
  what,
  permission,
  save,
  pointers,
  name,
  cancel,
  request,
  children,
}: {
  what: string;
  permission: Permission;
  save: Save;
  pointers: string[];
  name: { value: string; set: (name: string) => void; placeholder: string; hint: ReactNode };
  cancel: ReactNode;
  request: Request;
  children: ReactNode;
}) {
  const may = useMay(permission);
  return (
    <Card>
      <Form problem={save.problem} pointers={["/name", ...pointers]} onSubmit={() => void save.run()}>
        <Text
          label="Name"
          pointer="/name"
          value={name.value}
          onChange={name.set}
          disabled={!may}
          mono
          placeholder={name.placeholder}
          hint={name.hint}
        />
        {children}
        <div className="flex gap-2">
          <Guarded
            permission={permission}
            kind="primary"
            type="submit"
            disabled={save.busy || name.value === ""}
          >
            Create {what}
          </Guarded>
          {cancel}
        </div>
        <ShowAs request={request} />
      </Form>
    </Card>
  );
}

/** An object as it is: its fields, and the request that changes it. */
export function EditForm({
  title,
  button,
  permission,
  save,
  pointers,
  request,
  children,
}: {
  title?: string;
  button: string;
  permission: Permission;
  save: Save;
  pointers: string[];
  request: Request;
  children: ReactNode;
}) {
  const may = useMay(permission);
  return (
    <Card>
      {title && <CardTitle>{title}</CardTitle>}
      <Form problem={save.problem} pointers={pointers} onSubmit={() => void save.run()}>
        {children}
        <Why save={save} disabled={!may} />
        <Guarded permission={permission} kind="primary" type="submit" disabled={save.busy}>
          {button}
        </Guarded>
        <ShowAs request={{ ...request, why: save.why }} />
      </Form>
    </Card>
  );
}

export function DeleteCard({
  about,
  ...button
}: {
  about: string;
  what: string;
  name: string;
  consequence: string;
  permission: Permission;
  typed?: boolean;
  request: Request;
  remove: Save;
}) {
  return (
    <Card>
      <CardTitle>Delete this {button.what}</CardTitle>
      <div className="flex items-center justify-between gap-6">
        <p className="text-muted">{about}</p>
        <DeleteButton {...button} why />
      </div>
    </Card>
  );
}
