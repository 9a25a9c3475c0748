/** Numbers as the pages write them. */

/** A number in at most `digits` significant digits, without needless zeros; powers of ten where it is very large or
 * small. */
export function short(value: number, digits = 4): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  if (value === 0) return Object.is(value, -0) ? "−0" : "0";
  const magnitude = Math.abs(value);
  const text = magnitude >= 1e6 || magnitude < 1e-4 ? power(magnitude, digits) : String(Number(magnitude.toPrecision(digits)));
  return (value < 0 ? "−" : "") + text;
}

/** Every digit that tells a number from its neighbours. */
export function exact(value: number): string {
  if (!Number.isFinite(value) || value === 0) return short(value);
  const magnitude = Math.abs(value);
  const text = magnitude >= 1e21 || magnitude < 1e-6 ? power(magnitude) : String(magnitude);
  return (value < 0 ? "−" : "") + text;
}

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

function power(magnitude: number, digits?: number): string {
  const [mantissa, exponent] = magnitude.toExponential(digits === undefined ? undefined : digits - 1).split("e");
  const raised = String(Math.abs(Number(exponent))).replace(/\d/g, (d) => SUPERSCRIPTS[Number(d)]);
  return `${Number(mantissa)} × 10${Number(exponent) < 0 ? "⁻" : ""}${raised}`;
}

export function percent(share: number, digits = 1): string {
  const text = Math.abs(100 * share).toFixed(digits);
  return `${share < 0 && Number(text) ? "−" : ""}${text}%`;
}

/** Bytes as people count storage: powers of ten. */
export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, count < 1 ? 0 : Math.floor(Math.log10(count) / 3));
  return `${step ? (count / 10 ** (3 * step)).toPrecision(3) : count} ${units[step]}`;
}

/** A count in few letters, for an axis: "100K", "10M". */
export function compact(count: number): string {
  return count.toLocaleString("en-US", { notation: "compact" });
}

/** A count with separators. */
export function whole(count: number): string {
  return count.toLocaleString("en-US");
}
