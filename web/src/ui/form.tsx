// Fields that show what the server said about them, at the pointer that it named.
import { clsx } from "clsx";
import { ChevronDown } from "lucide-react";
import { createContext, type ReactNode, type SelectHTMLAttributes, useContext, useId } from "react";
import { type Problem, sentence } from "../api/problem";
import { queryClient } from "../api/queries";
import { Button } from "./basics";
import { Reference } from "./states";

const ProblemContext = createContext<Problem | null>(null);

export function Form({
  problem,
  pointers,
  onSubmit,
  children,
}: {
  problem: Problem | null;
  /** What the fields of this form show; everything else is said above them. */
  pointers: string[];
  onSubmit: () => void;
  children: ReactNode;
}) {
  return (
    <ProblemContext.Provider value={problem}>
      <form
        noValidate
        className="space-y-5"
        onSubmit={(event) => {
          event.preventDefault();
          onSubmit();
        }}
      >
        {problem && <Refused problem={problem} pointers={pointers} />}
        {children}
      </form>
    </ProblemContext.Provider>
  );
}

function Refused({ problem, pointers }: { problem: Problem; pointers: string[] }) {
  const others = problem.elsewhere(pointers);
  const shown = problem.violations.length - others.length;
  const text =
    problem.status === 412
      ? "Somebody changed this in the meantime, so nothing was saved. Load the newer version, then make your change again."
      : problem.violations.length === 0
        ? problem.message
        : shown > 0
          ? "Nothing was saved. What is wrong is marked below."
          : "Nothing was saved.";
  return (
    <div role="alert" className="rounded-lg bg-bad-soft px-4 py-3">
      <p className="font-semibold text-bad">{problem.title}</p>
      <p>{text}</p>
      {others.length > 0 && (
        <ul className="mt-1 list-disc pl-5">
          {others.map((violation) => (
            <li key={violation.pointer + violation.code}>
              {violation.pointer && <code>{violation.pointer}</code>} {sentence(violation)}
            </li>
          ))}
        </ul>
      )}
      {problem.status === 412 && (
        <Button className="mt-2" onClick={() => void queryClient.invalidateQueries()}>
          Load the newer version
        </Button>
      )}
      <Reference problem={problem} />
    </div>
  );
}

const box =
  "h-9 w-full min-w-0 rounded-lg border border-edge/60 bg-surface px-3 text-ink placeholder:text-muted disabled:bg-sunken disabled:text-muted aria-invalid:border-bad";

export function Field({
  label,
  hint,
  pointer,
  hideLabel,
  children,
  className,
}: {
  label: string;
  hint?: ReactNode;
  pointer?: string;
  hideLabel?: boolean;
  className?: string;
  children: (input: {
    id: string;
    className: string;
    "aria-describedby": string;
    "aria-invalid": boolean;
  }) => ReactNode;
}) {
  const id = useId();
  const problem = useContext(ProblemContext);
  const wrong = pointer === undefined ? undefined : problem?.at(pointer);
  return (
    <div className={className}>
      <label htmlFor={id} className={clsx("mb-1.5 block font-medium", hideLabel && "sr-only")}>
        {label}
      </label>
      {children({
        id,
        className: box,
        "aria-describedby": `${id}-about`,
        "aria-invalid": wrong !== undefined,
      })}
      <p
        id={`${id}-about`}
        className={clsx("text-[0.9286rem]", wrong ? "text-bad" : "text-muted", (wrong ?? hint) && "mt-1.5")}
      >
        {wrong ?? hint}
      </p>
    </div>
  );
}

export function Text({
  label,
  hint,
  pointer,
  value,
  onChange,
  hideLabel,
  className,
  ...rest
}: {
  label: string;
  hint?: ReactNode;
  pointer?: string;
  value: string;
  onChange: (value: string) => void;
  hideLabel?: boolean;
  className?: string;
  placeholder?: string;
  disabled?: boolean;
  type?: "text" | "number" | "password" | "email";
  autoComplete?: string;
  mono?: boolean;
  list?: string;
  autoFocus?: boolean;
}) {
  const { mono, ...input } = rest;
  return (
    <Field label={label} hint={hint} pointer={pointer} hideLabel={hideLabel} className={className}>
      {(field) => (
        <input
          autoComplete="off"
          spellCheck={false}
          {...input}
          {...field}
          className={clsx(field.className, mono && "font-mono text-[0.9286rem]")}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

/** The browser's own list, with an arrow that stands where the text of other fields ends. */
export function Choice({ className, ...rest }: SelectHTMLAttributes<HTMLSelectElement>) {
  return (
    <div className="relative">
      <select {...rest} className={clsx("appearance-none pr-9", className)} />
      <ChevronDown
        aria-hidden
        className="pointer-events-none absolute top-1/2 right-3 size-4 -translate-y-1/2 text-muted"
      />
    </div>
  );
}

export function Select({
  label,
  hint,
  pointer,
  value,
  onChange,
  options,
  disabled,
  hideLabel,
  className,
}: {
  label: string;
  hint?: ReactNode;
  pointer?: string;
  value: string;
  onChange: (value: string) => void;
  options: (string | [value: string, text: string])[];
  disabled?: boolean;
  hideLabel?: boolean;
  className?: string;
}) {
  return (
    <Field label={label} hint={hint} pointer={pointer} hideLabel={hideLabel} className={className}>
      {(field) => (
        <Choice
          {...field}
          disabled={disabled}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        >
          {options.map((option) => {
            const [key, text] = typeof option === "string" ? [option, option] : option;
            return (
              <option key={key} value={key}>
                {text}
              </option>
            );
          })}
        </Choice>
      )}
    </Field>
  );
}

export function Check({
  label,
  hint,
  checked,
  onChange,
  disabled,
}: {
  label: string;
  hint?: ReactNode;
  checked: boolean;
  onChange: (checked: boolean) => void;
  disabled?: boolean;
}) {
  const id = useId();
  return (
    <div className="flex gap-2.5">
      <input
        id={id}
        type="checkbox"
        className="mt-1 size-4 accent-accent"
        checked={checked}
        disabled={disabled}
        aria-describedby={`${id}-about`}
        onChange={(event) => onChange(event.target.checked)}
      />
      <div>
        <label htmlFor={id} className="font-medium">
          {label}
        </label>
        <p id={`${id}-about`} className="text-[0.9286rem] text-muted">
          {hint}
        </p>
      </div>
    </div>
  );
}
