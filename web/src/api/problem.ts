// What the API answers when it refuses (RFC 9457), and what there is to say when there was no answer at all.
import type { components } from "./schema";

export type Violation = components["schemas"]["Violation"];

export class Problem extends Error {
  readonly status: number;
  readonly code: string | undefined;
  readonly title: string;
  readonly requestId: string | undefined;
  readonly violations: Violation[];
  /** Of who has a second factor and has shown the password: what is sent with a code. */
  readonly challenge: string | undefined;

  constructor(status: number, body: Partial<components["schemas"]["Problem"]>) {
    super(body.detail ?? body.title ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body.code;
    this.title = body.title ?? "Something went wrong";
    this.requestId = body.request_id;
    this.violations = body.errors ?? [];
    this.challenge = body.challenge;
  }

  /** What is wrong at a field, by its JSON pointer; what is wrong inside of it counts as well. */
  at(pointer: string): string | undefined {
    const found = this.violations.filter((v) => v.pointer === pointer || v.pointer.startsWith(`${pointer}/`));
    return found.length > 0 ? found.map(sentence).join(" ") : undefined;
  }

  /** What no field of a form shows. */
  elsewhere(pointers: string[]): Violation[] {
    return this.violations.filter(
      (v) => !pointers.some((pointer) => v.pointer === pointer || v.pointer.startsWith(`${pointer}/`)),
    );
  }

  static unreachable(): Problem {
    return new Problem(0, {
      title: "The server cannot be reached",
      detail:
        "There was no answer. What is shown may be out of date; nothing that you sent is known to have arrived.",
    });
  }
}

export function sentence(violation: Violation): string {
  const detail = violation.detail.replace(/\.?$/, ".");
  const text = detail.charAt(0).toUpperCase() + detail.slice(1);
  return violation.hint ? `${text} ${violation.hint.replace(/\.?$/, ".")}` : text;
}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of a good answer; every other one is thrown as a problem. */
export async function good<T>(call: Promise<Answer<T>>): Promise<T> {
  return (await goodWithEtag(call)).body;
}

export async function goodWithEtag<T>(call: Promise<Answer<T>>): Promise<{ body: T; etag: string | null }> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw Problem.unreachable();
  }
  if (!answer.response.ok) {
    const body = typeof answer.error === "object" && answer.error !== null ? answer.error : {};
    throw new Problem(answer.response.status, body);
  }
  return { body: answer.data as T, etag: answer.response.headers.get("etag") };
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(0, {
    title: "The console failed",
    detail: error instanceof Error ? error.message : String(error),
  });
}
