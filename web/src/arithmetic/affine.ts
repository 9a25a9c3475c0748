/** Integer grids with one scale, as bitwright.formats.affine and ggml's Q4_1 choose them: in float32, bit by bit. */
import { even, round, type Element } from "./elements";

export const FLOAT16: Element = { name: "float16", summary: "", bits: 16, kind: "float", exponent: 5, mantissa: 10, bias: 15, special: "ieee" };

/** symmetric: the zero-point is the middle code. asymmetric: the zero-point is chosen. minimum: a float is added in the
 * place of a zero-point. */
export type GridKind = "symmetric" | "asymmetric" | "minimum";

export interface Grid {
  kind: GridKind;
  bits: number;
  scale: number; // as stored
  zero: number; // the code that decodes to 0; unused by "minimum"
  minimum: number; // as stored; 0 unless "minimum"
  exactScale: number; // before it was stored: ggml chooses codes by it
  exactMinimum: number;
}

const f32 = Math.fround;
export const half = (value: number): number => round(FLOAT16, value);

/** 1 / scale, or 0 where that is not finite. */
function inverse(scale: number): number {
  const found = f32(1 / scale);
  return Number.isFinite(found) ? found : 0;
}

const clip = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

/** The grid for values from `low` to `high`, its scale stored as float16 (`wide`: as float32). */
export function fit(kind: GridKind, bits: number, low: number, high: number, wide = false): Grid {
  const stored = (value: number) => (wide ? value : half(value));
  const top = 2 ** bits - 1;
  if (kind === "minimum") {
    const scale = f32(f32(high - low) / top);
    return { kind, bits, scale: stored(scale), zero: 0, minimum: stored(low), exactScale: scale, exactMinimum: low };
  }
  const [bottom, ceiling] = [Math.min(low, 0), Math.max(high, 0)];
  const middle = 2 ** (bits - 1);
  const symmetric = kind === "symmetric";
  const scale = stored(symmetric ? f32(Math.max(-bottom, ceiling) / (middle - 1)) : f32(f32(ceiling - bottom) / top));
  const zero = symmetric ? middle : clip(even(f32(-bottom * inverse(scale))), 0, top);
  return { kind, bits, scale, zero, minimum: 0, exactScale: scale, exactMinimum: 0 };
}

/** The stored integer of a float32 value, from 0. */
export function encodeOn(g: Grid, value: number): number {
  const top = 2 ** g.bits - 1;
  if (g.kind === "minimum") return clip(Math.trunc(f32(f32(f32(value - g.exactMinimum) * inverse(g.exactScale)) + 0.5)), 0, top);
  return clip(clip(even(f32(value * inverse(g.scale))), -256, 256), -g.zero, top - g.zero) + g.zero;
}

/** What a stored integer reads back as. */
export function decodeOn(g: Grid, code: number): number {
  return g.kind === "minimum" ? f32(f32(g.scale * code) + g.minimum) : f32(g.scale * (code - g.zero));
}

/** float32 values through a grid for each block of `size`, from the block's smallest to its largest. Of a grid that
 * reaches over all of `range`, the scale is stored as float32, and so is it with `wide`. */
export function throughBlocks(values: Float32Array, kind: GridKind, bits: number, size: number, wide = false, range?: [number, number]): Float32Array {
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += size) {
    const block = values.subarray(start, start + size);
    let [low, high] = range ?? [Infinity, -Infinity];
    for (const value of block) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const grid = fit(kind, bits, low, high, wide || range !== undefined);
    block.forEach((value, index) => (out[start + index] = decodeOn(grid, encodeOn(grid, value))));
  }
  return out;
}
