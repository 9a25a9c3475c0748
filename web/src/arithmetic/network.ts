/** A network of two inputs and one output that is small enough to see: what it answers, and what rounding makes of it. */
import { decodeOn, encodeOn, fit, half } from "./affine";
import { numbers, round, type Element } from "./elements";

export interface Network {
  hidden: { weights: number[][]; bias: number[] }; // (neurons, inputs)
  output: { weights: number[]; bias: number };
}

const relu = (value: number) => Math.max(0, value);

/** What each hidden neuron says: the weighted sum of the inputs, or 0 where that is negative. */
export function neurons({ hidden }: Network, inputs: readonly number[]): number[] {
  return hidden.weights.map((row, n) => relu(row.reduce((sum, weight, i) => sum + weight * inputs[i], 0) + hidden.bias[n]));
}

/** What the network says: yes, if it is above zero. */
export function answer(net: Network, inputs: readonly number[]): number {
  return neurons(net, inputs).reduce((sum, value, n) => sum + net.output.weights[n] * value, 0) + net.output.bias;
}

/** Inputs from −1 to 1, as the cells of a map show them. */
export const cell = (index: number, size: number): number => (2 * index + 1) / size - 1;

/** The answers on a map of size × size cells, row by row from −1 of the second input. */
export function map(net: Network, size: number): boolean[] {
  return Array.from({ length: size * size }, (_, n) => answer(net, [cell(n % size, size), cell(Math.floor(n / size), size)]) > 0);
}

/** How weights are stored: as numbers of a format, or on a grid with a scale for each neuron. */
export interface Storage {
  element?: Element; // none: integers
  bits?: number; // of integers
  scaled: boolean;
}

function stored(weights: readonly number[], { element, bits, scaled }: Storage): number[] {
  const values = Array.from(weights, Math.fround);
  if (!element) {
    const grid = fit("symmetric", bits!, Math.min(...values), Math.max(...values));
    return values.map((value) => decodeOn(grid, encodeOn(grid, value)));
  }
  if (!scaled) return values.map((value) => round(element, value));
  const all = numbers(element);
  const scale = half(Math.fround(Math.max(...values.map(Math.abs)) / all[all.length - 1]));
  return values.map((value) => (scale ? Math.fround(scale * round(element, Math.fround(value / scale))) : 0));
}

/** The network with its weights stored so; biases are few and stay as they are. */
export function storedAs({ hidden, output }: Network, how: Storage): Network {
  return {
    hidden: { ...hidden, weights: hidden.weights.map((row) => stored(row, how)) },
    output: { ...output, weights: stored(output.weights, how) },
  };
}
