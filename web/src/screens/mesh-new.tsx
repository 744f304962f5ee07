import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "../api/client";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { Guarded, ReadOnlyNote, useMay } from "../ui/access";
import { Card, CrumbArrow, linkButton, PageHead } from "../ui/basics";
import { Form, Select, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";

export function MeshNew() {
  const [name, setName] = useState("");
  const [display, setDisplay] = useState("");
  const [access, setAccess] = useState<"deny" | "allow">("deny");
  const navigate = useNavigate();
  const may = useMay("meshes:write");
  const body = {
    name,
    ...(display.trim() === "" ? {} : { display_name: display.trim() }),
    access_default: access,
  };
  const save = useSave(
    () => good(api.POST("/v1/orgs/{org}/meshes", { params: { path: { org: "-" } }, body })),
    "Mesh created",
    () => void navigate({ to: "/meshes/$mesh", params: { mesh: name } }),
  );
  return (
    <div className="max-w-2xl">
      <title>New mesh · Heddle</title>
      <PageHead
        title="New mesh"
        about="A mesh has its own services, its own certificate authority and its own history."
        crumbs={
          <>
            <Link to="/" className="hover:text-ink">
              Meshes
            </Link>
            <CrumbArrow />
            <span>New</span>
          </>
        }
      />
      <ReadOnlyNote permission="meshes:write" />
      <Card>
        <Form
          problem={save.problem}
          pointers={["/name", "/display_name", "/access_default"]}
          onSubmit={() => void save.run()}
        >
          <Text
            label="Name"
            pointer="/name"
            value={name}
            onChange={setName}
            disabled={!may}
            mono
            placeholder="prod"
            hint="Part of host names and addresses, so it never changes: lower-case letters, digits and hyphens."
          />
          <Text
            label="Display name"
            pointer="/display_name"
            value={display}
            onChange={setDisplay}
            disabled={!may}
            placeholder="Production"
            hint="Optional. Changes freely."
          />
          <Select
            label="A call that no access rule matches is"
            pointer="/access_default"
            value={access}
            onChange={(value) => setAccess(value === "allow" ? "allow" : "deny")}
            disabled={!may}
            options={[
              ["deny", "denied"],
              ["allow", "allowed"],
            ]}
            hint="Denied is the safe choice: every call then needs a rule that allows it."
          />
          <div className="flex gap-2">
            <Guarded
              permission="meshes:write"
              kind="primary"
              type="submit"
              disabled={save.busy || name === ""}
            >
              Create mesh
            </Guarded>
            <Link to="/" className={linkButton("quiet")}>
              Cancel
            </Link>
          </div>
          <ShowAs request={{ method: "POST", path: "/v1/orgs/-/meshes", body, document: { kind: "mesh" } }} />
        </Form>
      </Card>
    </div>
  );
}
