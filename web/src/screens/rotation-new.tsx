// A rotation is begun: what is replaced, how careful, and who takes the steps.
import { useState } from "react";
import { api, type Schemas } from "../api/client";
import { good } from "../api/problem";
import { useSave } from "../api/save";
import { Button } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { Form, Select, Text } from "../ui/form";
import { ShowAs } from "../ui/show-as";
import { Why } from "../ui/why";

type Mode = Schemas["How"];

const modes: Record<Mode, { text: string; about: string }> = {
  planned: {
    text: "planned",
    about: "Waits for every proxy whose certificate is still good, connected or not. No call fails.",
  },
  emergency: {
    text: "emergency",
    about: "Waits for connected proxies only. Those that are away may be cut off until they come back.",
  },
  break_trust: {
    text: "break the trust at once",
    about: "Waits for nobody: the old root is dropped now, and calls fail until both ends have the new one.",
  },
};

export function RotationNew({ mesh, close }: { mesh: string; close: () => void }) {
  const [what, setWhat] = useState<Schemas["Whose"]>("intermediate");
  const [mode, setMode] = useState<Mode>("planned");
  const [pace, setPace] = useState<Schemas["Pace"]>("automatic");
  const [over, setOver] = useState("");
  const [answer, setAnswer] = useState("");
  const body: Schemas["CreateRotation"] = {
    what,
    mode,
    pace,
    ...(over.trim() === "" ? {} : { replace_over: over.trim() }),
  };
  const save = useSave(
    (query) =>
      good(
        api.POST("/v1/orgs/{org}/meshes/{mesh}/rotations", {
          params: { path: { org: "-", mesh }, query },
          body,
        }),
      ),
    "The rotation has begun",
    close,
  );
  const typed = mode !== "planned";
  // Whoever trusts the root trusts what it signed: only a new root breaks that.
  const offered = (Object.keys(modes) as Mode[]).filter((one) => what === "root" || one !== "break_trust");
  return (
    <Dialog title={`Replace authorities of ${mesh}`} close={close}>
      <Form
        problem={save.problem}
        pointers={["/what", "/mode", "/pace", "/replace_over"]}
        onSubmit={() => void save.run()}
      >
        <Select
          label="What"
          pointer="/what"
          value={what}
          onChange={(next) => {
            setWhat(next === "root" ? "root" : "intermediate");
            setMode("planned");
          }}
          options={[
            ["intermediate", "The intermediate, under the same root"],
            ["root", "The root, and the intermediate with it"],
          ]}
        />
        <Select
          label="How"
          pointer="/mode"
          value={mode}
          onChange={(next) => setMode(next as Mode)}
          options={offered.map((one): [string, string] => [one, modes[one].text])}
          hint={modes[mode].about}
        />
        <div className="grid grid-cols-2 gap-4">
          <Select
            label="Steps are taken"
            pointer="/pace"
            value={pace}
            onChange={(next) => setPace(next === "manual" ? "manual" : "automatic")}
            options={[
              ["automatic", "by themselves"],
              ["manual", "by me"],
            ]}
          />
          <Text
            label="Replace certificates over"
            pointer="/replace_over"
            value={over}
            onChange={setOver}
            mono
            placeholder={{ planned: "10m", emergency: "30s", break_trust: "0s" }[mode]}
            hint="One after the other; at most 24h."
          />
        </div>
        {typed && <Text label={`Type ${mesh} to confirm`} value={answer} onChange={setAnswer} mono />}
        <Why save={save} />
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button
            type="submit"
            kind={typed ? "danger" : "primary"}
            disabled={save.busy || (typed && answer !== mesh)}
          >
            Begin
          </Button>
        </div>
        <ShowAs
          request={{ method: "POST", path: `/v1/orgs/-/meshes/${mesh}/rotations`, body, why: save.why }}
        />
      </Form>
    </Dialog>
  );
}
