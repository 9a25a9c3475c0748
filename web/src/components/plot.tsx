/** Plots: axes and marks in SVG at the width that there is, with words for those who do not see them. */
import { scaleLinear, scaleLog, scaleSymlog } from "d3-scale";
import type { ComponentChildren, RefObject } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { short } from "../numbers";

export interface Axis {
  domain: [number, number];
  label?: string;
  kind?: "linear" | "log" | "symlog";
  constant?: number; // of a symlog: the range around zero that is linear
  ticks?: number | number[];
  text?: (value: number) => string;
  grid?: boolean;
}

export interface Scales {
  x: (value: number) => number;
  y: (value: number) => number;
  invertX: (pixel: number) => number;
  invertY: (pixel: number) => number;
  width: number; // of the area inside the axes
  height: number;
}

interface PlotProps {
  label: string; // what is to be seen, in words
  x: Axis;
  y?: Axis; // none: no vertical axis
  height?: number; // of all
  table?: Table; // the numbers, for those who want or need them
  children: (scales: Scales) => ComponentChildren;
}

const MARGIN = { top: 10, named: 26, right: 14, bottom: 40, left: 54 }; // named: the top of a plot whose vertical axis has a label

function scale({ domain, kind = "linear", constant = 1 }: Axis, range: [number, number]) {
  const made = kind === "log" ? scaleLog() : kind === "symlog" ? scaleSymlog().constant(constant) : scaleLinear();
  return made.domain(domain).range(range);
}

/** The width of an element, followed as it changes. */
export function useWidth<E extends Element>(): [RefObject<E | null>, number] {
  const ref = useRef<E>(null);
  const [width, set] = useState(0);
  useLayoutEffect(() => {
    const seen = new ResizeObserver(([entry]) => set(Math.floor(entry.contentRect.width)));
    if (ref.current) {
      set(Math.floor(ref.current.getBoundingClientRect().width));
      seen.observe(ref.current);
    }
    return () => seen.disconnect();
  }, []);
  return [ref, width];
}

export function Plot({ label, x, y, height = 260, table, children }: PlotProps) {
  const [ref, whole] = useWidth<HTMLDivElement>();
  const left = y ? MARGIN.left : 12;
  const bottom = x.label || x.ticks !== 0 ? MARGIN.bottom : 12;
  const width = Math.max(0, whole - left - MARGIN.right);
  const top = y?.label ? MARGIN.named : MARGIN.top;
  const inner = height - top - bottom;
  const [sx, sy] = [scale(x, [0, width]), scale(y ?? { domain: [0, 1] }, [inner, 0])];
  const marks = (axis: Axis, at: typeof sx, room: number): number[] =>
    Array.isArray(axis.ticks)
      ? axis.ticks.filter((tick) => tick >= Math.min(...axis.domain) && tick <= Math.max(...axis.domain))
      : at.ticks(axis.ticks ?? Math.max(2, Math.floor(room / 70)));
  const clip = useId();
  return (
    <div class="plot" ref={ref}>
      {whole > 0 && (
        <svg width={whole} height={height} role="img" aria-label={label}>
          <defs>
            <clipPath id={clip}>
              <rect x={-1} y={-6} width={width + 2} height={inner + 8} />
            </clipPath>
          </defs>
          <g transform={`translate(${left},${top})`}>
            {y &&
              marks(y, sy, inner * 1.6).map((tick) => (
                <g key={tick} transform={`translate(0,${sy(tick)})`}>
                  {y.grid !== false && <line class="grid" x2={width} />}
                  <text x={-8} dy="0.32em" text-anchor="end">{(y.text ?? short)(tick)}</text>
                </g>
              ))}
            {legible(marks(x, sx, width), sx, x.text ?? short).map((tick) => (
              <g key={tick} transform={`translate(${sx(tick)},${inner})`}>
                {x.grid && <line class="grid" y2={-inner} />}
                <line class="axis" y2={5} />
                <text y={18} text-anchor="middle">{(x.text ?? short)(tick)}</text>
              </g>
            ))}
            <line class="axis" y1={inner} y2={inner} x2={width} />
            {x.label && <text class="label" x={width} y={inner + 35} text-anchor="end">{x.label}</text>}
            <g clip-path={`url(#${clip})`}>
              {children({ x: sx, y: sy, invertX: (p) => sx.invert(p), invertY: (p) => sy.invert(p), width, height: inner })}
            </g>
            {y?.label && <text class="label" x={8 - left} y={-14}>{y.label}</text>}
          </g>
        </svg>
      )}
      {table && <Numbers table={table} />}
    </div>
  );
}

/** Ticks without those whose texts would run into the one before. */
function legible(ticks: number[], at: (tick: number) => number, text: (tick: number) => string): number[] {
  let end = -Infinity;
  return ticks.filter((tick) => {
    const half = 3.5 * text(tick).length + 2;
    if (at(tick) - half < end) return false;
    end = at(tick) + half;
    return true;
  });
}

export interface Table {
  title: string;
  columns: string[];
  rows: (string | number)[][];
}

/** The numbers of a figure, folded away. */
export function Numbers({ table }: { table: Table }) {
  const [open, set] = useState(false);
  return (
    <details class="numbers" onToggle={(event) => set(event.currentTarget.open)}>
      <summary>{table.title}</summary>
      {open && <DataTable {...table} />}
    </details>
  );
}

/** A table whose first column names the rows. A title that starts with ">" aligns its column right, as numbers are.
 * `wrap` breaks long words instead of scrolling. */
export function DataTable({ title, columns, rows, wrap }: Table & { wrap?: boolean }) {
  const right = columns.map((name) => name.startsWith(">"));
  return (
    <div class={wrap ? "wrapped" : "scroll"} tabIndex={wrap ? undefined : 0} role="region" aria-label={title}>
      <table>
        <thead>
          <tr>
            {columns.map((name, column) => (
              <th scope="col" key={name} class={right[column] ? "n" : undefined}>{name.replace(/^>/, "")}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => {
                const text = typeof cell === "number" ? short(cell) : cell;
                const kind = right[column] || typeof cell === "number" ? "n" : undefined;
                return column ? <td key={column} class={kind}>{text}</td> : <th scope="row" key={column} class={kind}>{text}</th>;
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The path through points that are (x, y) in pixels; a gap where one is not finite. */
export function path(points: Iterable<[number, number]>): string {
  let out = "";
  let pen = false;
  for (const [x, y] of points) {
    if (Number.isFinite(x) && Number.isFinite(y)) {
      out += `${pen ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`;
      pen = true;
    } else pen = false;
  }
  return out;
}
