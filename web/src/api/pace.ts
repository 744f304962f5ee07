// How often what machines change is asked for: rarely while the server tells what happens by itself.
let streams = 0;

export function streaming(change: 1 | -1) {
  streams += change;
}

/** In milliseconds. */
export const liveInterval = () => (streams > 0 ? 30_000 : 3_000);
