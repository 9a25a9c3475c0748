/** Number formats of up to 32 bits, as bitwright.formats.floats declares them: a test holds the two together, code by
 * code. All arithmetic is exact in float64. */

export interface Element {
  name: string;
  summary: string;
  bits: number;
  kind: "float" | "exponent" | "integer"; // "exponent": a power of two without a sign; "integer": two's complement
  exponent: number; // bits
  mantissa: number; // bits
  bias: number;
  special: "ieee" | "fn" | ""; // which magnitudes are no numbers: the top exponent, the topmost code, none
}

/** How many codes a format has. */
export const count = (f: Element): number => 2 ** f.bits;

/** The number of a magnitude's code, as if none were special; it rises with the code. */
function magnitude(f: Element, code: number): number {
  const m = code % 2 ** f.mantissa;
  const e = (code - m) / 2 ** f.mantissa;
  return e ? 2 ** (e - f.bias) * (1 + m / 2 ** f.mantissa) : 2 ** (1 - f.bias) * (m / 2 ** f.mantissa);
}

/** How many magnitudes, from code 0, are numbers. */
function finite(f: Element): number {
  const all = 2 ** (f.bits - 1);
  return f.special === "ieee" ? all - 2 ** f.mantissa : f.special === "fn" ? all - 1 : all;
}

/** The number of a code. */
export function decode(f: Element, code: number): number {
  if (f.kind === "integer") return code >= 2 ** (f.bits - 1) ? code - 2 ** f.bits : code;
  if (f.kind === "exponent") return code === 2 ** f.bits - 1 ? NaN : 2 ** (code - f.bias);
  const half = 2 ** (f.bits - 1);
  const [sign, rest] = code >= half ? [-1, code - half] : [1, code];
  const numbers = finite(f);
  if (rest < numbers) return sign * magnitude(f, rest);
  return f.special === "ieee" && rest === numbers ? sign * Infinity : NaN;
}

/** The code nearest to a number; of two as near the even one (of an exponent: the upper one). */
export function encode(f: Element, value: number): number {
  if (f.kind === "integer") {
    const half = 2 ** (f.bits - 1);
    const nearest = Number.isNaN(value) ? 0 : Math.min(half - 1, Math.max(-half, even(value)));
    return nearest < 0 ? nearest + 2 * half : nearest;
  }
  if (f.kind === "exponent") return exponent(f, value);
  const half = 2 ** (f.bits - 1);
  const sign = value < 0 || Object.is(value, -0) ? half : 0;
  if (Number.isNaN(value)) return f.special ? half - 1 - (f.special === "ieee" ? 2 ** (f.mantissa - 1) - 1 : 0) : half;
  const size = Math.abs(value);
  const last = f.special ? finite(f) : finite(f) - 1; // where too large a number goes
  let [low, high] = [0, last];
  while (low < high) {
    const middle = Math.floor((low + high + 1) / 2);
    if (magnitude(f, middle) <= size) low = middle;
    else high = middle - 1;
  }
  if (low === last) return sign + last;
  const between = (magnitude(f, low) + magnitude(f, low + 1)) / 2;
  return sign + (size > between || (size === between && low % 2 === 1) ? low + 1 : low);
}

/** The nearest integer; of two as near the even one. */
export function even(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

function exponent(f: Element, value: number): number {
  const top = 2 ** f.bits - 1;
  if (!(value > 0)) return top;
  if (value <= 2 ** -f.bias) return 0;
  const power = Math.floor(Math.log2(value));
  const down = 2 ** power > value ? power - 1 : 2 ** (power + 1) <= value ? power + 1 : power;
  const code = down + f.bias + (value >= 1.5 * 2 ** down || down < -f.bias + 1 ? 1 : 0);
  return Math.min(top, code);
}

/** The nearest number. */
export const round = (f: Element, value: number): number => decode(f, encode(f, value));

/** The code of the next larger number (or smaller: `by` = −1); the same code where there is none. −0 and 0 are two codes
 * of one number, and count once. */
export function next(f: Element, code: number, by: 1 | -1): number {
  const value = decode(f, code);
  if (Number.isNaN(value)) return code;
  if (f.kind !== "float") {
    const moved = decode(f, code) + by;
    const to = f.kind === "integer" ? encode(f, moved) : code + by;
    return to >= 0 && to < count(f) && Number.isFinite(decode(f, to)) ? to : code;
  }
  const half = 2 ** (f.bits - 1);
  const negative = code >= half;
  const size = negative ? code - half : code;
  if (size === 0) return by > 0 ? 1 : half + 1;
  const to = negative === by > 0 ? size - 1 : size + 1;
  const found = to === 0 ? 0 : (negative ? half : 0) + to;
  return to < half && !Number.isNaN(decode(f, found)) ? found : code;
}

/** All finite numbers of a format, rising; for formats of up to 16 bits. */
export function numbers(f: Element): Float64Array {
  const found = new Set<number>();
  for (let code = 0; code < count(f); code++) {
    const value = decode(f, code);
    if (Number.isFinite(value)) found.add(value || 0);
  }
  return Float64Array.from(found).sort();
}

/** Which field each bit belongs to, from the highest. */
export function fields(f: Element): ("sign" | "exponent" | "mantissa" | "integer")[] {
  if (f.kind === "integer") return Array(f.bits).fill("integer");
  if (f.kind === "exponent") return Array(f.bits).fill("exponent");
  return ["sign", ...Array(f.exponent).fill("exponent"), ...Array(f.mantissa).fill("mantissa")];
}
