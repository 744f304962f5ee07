// A text for the camera of another device. Drawn as one path: no image is loaded, and no markup is put together.
import { generate } from "lean-qr";

/** Around it, in modules: what readers need to find it. */
const MARGIN = 4;

export function Qr({ text, label }: { text: string; label: string }) {
  const code = generate(text);
  const squares: string[] = [];
  for (let y = 0; y < code.size; y++)
    for (let x = 0; x < code.size; x++) if (code.get(x, y)) squares.push(`M${x} ${y}h1v1h-1z`);
  const side = code.size + 2 * MARGIN;
  return (
    <svg
      role="img"
      aria-label={label}
      viewBox={`${-MARGIN} ${-MARGIN} ${side} ${side}`}
      shapeRendering="crispEdges"
      className="mx-auto w-52 rounded-lg"
    >
      <rect x={-MARGIN} y={-MARGIN} width={side} height={side} fill="white" />
      <path d={squares.join("")} fill="black" />
    </svg>
  );
}
