/** Figures of a report in words. */
import type { Interval } from "./types";

/** Writes a number times `factor` with that many decimals; zero has no sign. */
export const fixed = (digits: number, factor = 1) => (value: number) => {
  const text = (factor * value).toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text;
};

/** A divergence: five decimals, or two digits and a power of ten where decimals show too few, as `views.numbers.nats`
 * writes it. */
export const nats = (value: number) => (value === 0 ? "0" : Math.abs(value) < 1e-4 ? value.toExponential(1).replace(/(?<=e-)\d$/, "0$&") : value.toFixed(5));

/** Mean and interval. */
export function span(interval: Interval, text: (value: number) => string): [string, string] {
  if (interval.low === null || interval.high === null) return [text(interval.mean), `too few ${interval.of ?? "texts"}`];
  return [text(interval.mean), `${text(interval.low)} to ${text(interval.high)}`];
}
