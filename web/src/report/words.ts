/** Figures of a report in words. */
import type { Interval } from "./types";

/** Writes a number times `factor` with that many decimals; zero has no sign. */
export const fixed = (digits: number, factor = 1) => (value: number) => {
  const text = (factor * value).toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text;
};

/** A divergence: five decimals, or two digits and a power of ten where decimals show too few (as views.numbers.nats). */
export const nats = (value: number) => (value === 0 ? "0" : Math.abs(value) < 1e-4 ? value.toExponential(1) : value.toFixed(5));

const FAR = 100; // noise floors from which a count of them says nothing more

/** A multiple of the noise floor (as measure.noise_floor.in_floors). */
export const inFloors = (times: number) =>
  times >= FAR ? "far above the noise floor" : `${times < 10 ? Number(times.toPrecision(2)) : times.toFixed(0)} times the noise floor`;

/** Mean and interval. */
export function span(interval: Interval, text: (value: number) => string): [string, string] {
  if (interval.low === null || interval.high === null) return [text(interval.mean), `too few ${interval.of ?? "texts"}`];
  return [text(interval.mean), `${text(interval.low)} to ${text(interval.high)}`];
}
