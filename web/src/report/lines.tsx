/** Lines, points and bars with a name each: told apart by dashes and numbers as well as by colour. */
import type { ComponentChildren } from "preact";
import { path, type Scales, type Table } from "../components/plot";

export const TONES = 6; // colours of lines that have no other meaning: see style.css

export interface Line {
  name: string;
  points: [number, number][];
  band?: [number, number | null, number | null][]; // where it is sure to lie
  steps?: boolean; // level up to the next point
}

const stepped = (points: [number, number][]): [number, number][] =>
  points.flatMap((point, n) => (n ? [[point[0], points[n - 1][1]] as [number, number], point] : [point]));

export function Lines({ lines, scales: { x, y } }: { lines: Line[]; scales: Scales }) {
  return (
    <>
      {lines.map(({ points, band, steps, name }, n) => {
        const on = (all: [number, number][]) => path((steps ? stepped(all) : all).map(([a, b]) => [x(a), y(b)]));
        const sure = (band ?? []).filter((b): b is [number, number, number] => b[1] !== null && b[2] !== null);
        const edge = (side: 1 | 2) => (steps ? stepped : (all: [number, number][]) => all)(sure.map((b) => [b[0], b[side]]));
        const around = [...edge(2), ...edge(1).reverse()];
        return (
          <g key={name} class={`tone t${n % TONES}`}>
            {around.length > 0 && <path class="band" d={`${path(around.map(([a, b]) => [x(a), y(b)]))}Z`} />}
            <path class="stroke" d={on(points)} />
          </g>
        );
      })}
    </>
  );
}

/** What each line is, or each filled area; with `numbers`, the points carry numbers. */
export function Legend({ names, numbers, filled }: { names: ComponentChildren[]; numbers?: boolean; filled?: boolean }) {
  return (
    <ul class="legend">
      {names.map((name, n) => (
        <li key={n} class={`tone t${n % TONES}`}>
          {numbers ? <b class="badge"><span>{n + 1}</span></b> : <Swatch filled={filled} />} {name}
        </li>
      ))}
    </ul>
  );
}

const Swatch = ({ filled }: { filled?: boolean }) => (
  <svg width={filled ? 14 : 34} height="12" aria-hidden="true">
    {filled ? <rect class="fill" width="14" height="12" /> : <path class="stroke" d="M0,6H34" />}
  </svg>
);

/** The lines as a table. */
export const tableOf = (title: string, x: string, lines: Line[], text: (value: number) => string = String): Table => ({
  title,
  columns: [x, ...lines.map((line) => line.name)],
  rows: [...new Set(lines.flatMap((line) => line.points.map(([a]) => a)))]
    .sort((a, b) => a - b)
    .map((at) => [text(at), ...lines.map((line) => line.points.find(([a]) => a === at)?.[1] ?? "")]),
});

const APART = 19; // pixels between the middles of two badges

/** Where the numbered badges of points stand: at the point, or beside it where another stands already. Inside `width`
 * and `height`. */
export function apart(points: [number, number][], width: number, height: number): [number, number][] {
  const placed: [number, number][] = [];
  const free = ([x, y]: [number, number]) => placed.every(([a, b]) => Math.hypot(x - a, y - b) >= APART - 0.1);
  const inside = ([x, y]: [number, number]) => x >= 9 && x <= width - 9 && y >= 9 && y <= height;
  for (const [x, y] of points) {
    let found: [number, number] = [x, y];
    for (let ring = 1; !(free(found) && (inside(found) || ring === 1)) && ring < 12; ring++) {
      const around = Array.from({ length: 8 * ring }, (_, n): [number, number] => {
        const angle = (2 * Math.PI * n) / (8 * ring);
        return [x + ring * APART * Math.cos(angle), y + ring * APART * Math.sin(angle)];
      });
      found = around.find((place) => free(place) && inside(place)) ?? found;
    }
    placed.push(found);
  }
  return placed;
}

/** A numbered badge, joined to its point if it stands beside it. */
export function Badge({ number, point: [x, y], at: [bx, by] }: { number: number; point: [number, number]; at: [number, number] }) {
  return (
    <>
      <path class="whisker" d={`M${x},${y}L${bx},${by}`} />
      <circle class="fill place" cx={x} cy={y} r={3} />
      <circle class="fill" cx={bx} cy={by} r={9} />
      <text class="badge" x={bx} y={by} dy="0.35em" text-anchor="middle">{number}</text>
    </>
  );
}

interface Label {
  text: string;
  x: number;
  y: number;
  end: boolean; // the text ends there
}

/** Places for labels next to their points, where they cover neither a point nor one another; a label that finds none is
 * left to the table. */
export function spread(points: { text: string; x: number; y: number }[], width: number): Label[] {
  const placed: Label[] = [];
  const size = (l: Label) => ({ from: l.end ? l.x - 7 * l.text.length : l.x, to: l.end ? l.x : l.x + 7 * l.text.length });
  const free = (l: Label) => {
    const { from, to } = size(l);
    const apart = (o: Label) => size(o).to < from || size(o).from > to || Math.abs(o.y - l.y) > 12;
    return from >= 0 && to <= width && placed.every(apart) && points.every((p) => p.x < from - 5 || p.x > to + 5 || Math.abs(p.y - l.y + 4) > 8);
  };
  for (const { text, x, y } of [...points].sort((a, b) => b.x - a.x)) {
    const tried = [4, -10, 18, -22, 30, -34, 42].flatMap((shift) => [false, true].map((end) => ({ text, x: x + (end ? -9 : 9), y: y + shift, end })));
    const found = tried.find(free);
    if (found) placed.push(found);
  }
  return placed;
}

export const Labels = ({ labels }: { labels: Label[] }) => (
  <>
    {labels.map(({ text, x, y, end }, n) => (
      <text key={n} class="label halo" x={x} y={y} text-anchor={end ? "end" : "start"}>{text}</text>
    ))}
  </>
);
