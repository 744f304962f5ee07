const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/** The date and the time of day, with its zone. */
export const moment = (iso: string) => whole.format(new Date(iso));

export function ago(iso: string, now = Date.now()): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(iso)) / 1000));
  if (seconds < 10) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  const steps: [number, string][] = [
    [86_400, "day"],
    [3_600, "hour"],
    [60, "minute"],
  ];
  for (const [size, unit] of steps) {
    const n = Math.floor(seconds / size);
    if (n >= 1) return `${n} ${unit}${n === 1 ? "" : "s"} ago`;
  }
  return "just now";
}

export function Ago({ at }: { at: string }) {
  return (
    <time dateTime={at} title={moment(at)}>
      {ago(at)}
    </time>
  );
}

export function Until({ at }: { at: string }) {
  const left = Math.round((Date.parse(at) - Date.now()) / 1000);
  const text =
    left <= 0
      ? "expired"
      : left < 3600
        ? `in ${Math.max(1, Math.round(left / 60))} min`
        : left < 172_800
          ? `in ${Math.round(left / 3600)} hours`
          : `in ${Math.round(left / 86_400)} days`;
  return (
    <time dateTime={at} title={moment(at)}>
      {text}
    </time>
  );
}
