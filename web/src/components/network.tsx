/** The network small enough to see: its wires, and the map of its answers. */
import { answer, map, neurons, type Network } from "../arithmetic/network";
import { short } from "../numbers";
import { useWidth } from "./plot";

export const INPUTS = ["warmth", "damp"] as const;
const SIZE = 41; // cells of the map in each direction
const TALL = 300;

/** Wires as thick as their weights are large, dashed where they are negative. `before`: the weights to compare with. */
export function Wires({ net, inputs, before }: { net: Network; inputs: readonly [number, number]; before?: Network }) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const inner = Math.max(0, width - 120);
  const x = [50, 50 + 0.56 * inner, 50 + inner];
  const at = (index: number, count: number) => 20 + ((TALL - 40) * (index + 0.5)) / count;
  const values = neurons(net, inputs);
  const said = answer(net, inputs);
  const wires = [
    ...net.hidden.weights.flatMap((row, n) => row.map((weight, i) => ({ from: [x[0], at(i, 2)], to: [x[1], at(n, 4)], weight, old: before?.hidden.weights[n][i] }))),
    ...net.output.weights.map((weight, n) => ({ from: [x[1], at(n, 4)], to: [x[2], at(0, 1)], weight, old: before?.output.weights[n] })),
  ];
  return (
    <div class="plot" ref={ref}>
      {width > 0 && (
        <svg width={width} height={TALL} role="img" aria-label={`A network: 2 inputs, 4 hidden neurons, 1 output. The output is ${short(said, 3)}: ${said > 0 ? "yes" : "no"}.`}>
          {wires.map(({ from, to, weight, old }, index) => {
            const changed = old !== undefined && Math.abs(old - weight) > 0.25 * Math.abs(old);
            const place = index < 8 ? (index % 2 ? 0.38 : 0.66) : 0.45;
            return (
              <g key={index} class={changed ? "error" : "code"}>
                {weight !== 0 && (
                  <line class="wire" x1={from[0]} y1={from[1]} x2={to[0]} y2={to[1]} stroke-width={1 + 9 * Math.min(1, Math.abs(weight))} stroke-dasharray={weight < 0 ? "7 4" : undefined} />
                )}
                <text class="halo label" x={from[0] + place * (to[0] - from[0])} y={from[1] + place * (to[1] - from[1]) + 4} text-anchor="middle">{short(weight, 3)}</text>
              </g>
            );
          })}
          {INPUTS.map((name, i) => (
            <Neuron key={name} x={x[0]} y={at(i, 2)} value={inputs[i]} name={name} />
          ))}
          {values.map((value, n) => (
            <Neuron key={n} x={x[1]} y={at(n, 4)} value={value} />
          ))}
          <Neuron x={x[2]} y={at(0, 1)} value={said} name={said > 0 ? "yes: go out" : "no: stay in"} />
        </svg>
      )}
    </div>
  );
}

function Neuron({ x, y, value, name }: { x: number; y: number; value: number; name?: string }) {
  return (
    <g transform={`translate(${x},${y})`}>
      <circle class="neuron" r={21} />
      <text class="label" dy="0.34em" text-anchor="middle">{short(value, 2)}</text>
      {name && <text class="label" y={38} text-anchor="middle">{name}</text>}
    </g>
  );
}

/** Where the network says yes; the dotted line is where `before` does; what changed is marked as error. */
export function AnswerMap({ net, before, inputs }: { net: Network; before?: Network; inputs?: readonly [number, number] }) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const side = Math.max(0, Math.min(width - 24, TALL - 28));
  const [now, then] = [map(net, SIZE), map(before ?? net, SIZE)];
  const changed = now.filter((yes, n) => yes !== then[n]).length;
  const step = side / SIZE;
  const place = (value: number) => (side * (value + 1)) / 2;
  return (
    <div class="plot" ref={ref}>
      {width > 0 && (
        <svg width={width} height={TALL} role="img" aria-label={`A map of the answers by warmth and damp: yes on ${now.filter(Boolean).length} of ${now.length} points${before ? `; ${changed} answers changed` : ""}.`}>
          <g transform="translate(22,4)">
            <rect class="well" width={side} height={side} />
            <path class="yes" d={cells(now, step)} />
            {before && <path class="fill error" opacity={0.75} d={cells(now.map((yes, n) => yes !== then[n]), step)} />}
            {before && <path class="stroke reference" d={border(then, step)} />}
            {inputs && <circle class="fill code" cx={place(inputs[0])} cy={side - place(inputs[1])} r={6} />}
            <text class="label" x={side} y={side + 18} text-anchor="end">warmth →</text>
            <text class="label" transform={`translate(-8,0) rotate(-90)`} text-anchor="end">damp →</text>
          </g>
        </svg>
      )}
    </div>
  );
}

/** The cells that are true, as one path: a rectangle for each run in a row. The second input grows upwards. */
function cells(on: boolean[], step: number): string {
  let out = "";
  for (let row = 0; row < SIZE; row++) {
    for (let column = 0; column < SIZE; ) {
      const start = column;
      while (column < SIZE && on[row * SIZE + column]) column++;
      if (column > start) out += `M${(start * step).toFixed(1)},${((SIZE - 1 - row) * step).toFixed(1)}h${((column - start) * step).toFixed(1)}v${step.toFixed(1)}H${(start * step).toFixed(1)}z`;
      else column++;
    }
  }
  return out;
}

/** The line between yes and no. */
function border(on: boolean[], step: number): string {
  let out = "";
  for (let row = 0; row < SIZE; row++) {
    for (let column = 0; column < SIZE; column++) {
      const here = on[row * SIZE + column];
      const [left, top] = [column * step, (SIZE - 1 - row) * step];
      if (column + 1 < SIZE && on[row * SIZE + column + 1] !== here) out += `M${(left + step).toFixed(1)},${top.toFixed(1)}v${step.toFixed(1)}`;
      if (row + 1 < SIZE && on[(row + 1) * SIZE + column] !== here) out += `M${left.toFixed(1)},${top.toFixed(1)}h${step.toFixed(1)}`;
    }
  }
  return out;
}

/** How many of the map's answers are those of `before`, as a share. */
export function agreement(net: Network, before: Network): number {
  const [now, then] = [map(net, SIZE), map(before, SIZE)];
  return now.filter((yes, n) => yes === then[n]).length / now.length;
}

