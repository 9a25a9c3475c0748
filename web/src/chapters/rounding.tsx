/** Rounding: to the nearest number of a format, then on grids with a scale and a zero-point; and what it does to a network. */
import { decodeOn, encodeOn, fit, type Grid, type GridKind } from "../arithmetic/affine";
import { encode, next, decode, round, type Element } from "../arithmetic/elements";
import { storedAs, type Network, type Storage } from "../arithmetic/network";
import { Chapter, Controls, Figure, Readout, Term } from "../components/chapter";
import { Choice, Scrub, Select, Slider } from "../components/controls";
import { AnswerMap, agreement, INPUTS, Wires } from "../components/network";
import { DataTable, Plot } from "../components/plot";
import { Data, useData } from "../data";
import { percent, short } from "../numbers";
import { useParam } from "../state";

const LINES = ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float6_e2m3fn", "float4_e2m1fn", "int4"];
const REACH = 2; // of the number lines
const VALUES = [-0.89, 0.16, 0.08, -0.13, 0.33, -0.54, 0.21, -0.02];

export default function Rounding() {
  return (
    <Chapter title="Rounding" lead="To store a number in fewer bits is to replace it by one of a few that are allowed. Everything else is about choosing those few well.">
      <Data<{ formats: Element[] }> name="elements">
        {({ formats }) => (
          <>
            <Nearest formats={LINES.map((name) => formats.find((f) => f.name === name)!)} />
            <Grids />
            <Repair formats={formats} />
          </>
        )}
      </Data>
    </Chapter>
  );
}

function Nearest({ formats }: { formats: Element[] }) {
  const [value, setValue] = useParam("value", 0.62);
  const got = formats.map((f) => round(f, value));
  const row = 44;
  return (
    <>
      <p>
        Take the number <Scrub id="value" label="The number to round" value={value} min={-REACH} max={REACH} step={0.01} onInput={setValue} text={(v) => short(v, 3)} />.
        Drag it. In each format below it moves to the nearest tick, and the <Term role="error">error</Term> is how far it had to go.
      </p>
      <Figure title="The nearest number, format by format" wide caption="A solid band means that the ticks are closer than a screen can show. The dotted line is the number itself. Click or drag anywhere on the lines.">
        <Controls>
          <Slider id="number" label="Number" min={-REACH} max={REACH} step={0.01} value={value} onInput={setValue} text={(v) => short(v, 3)} />
        </Controls>
        <Plot
          label={`Number lines of ${formats.length} formats from −${REACH} to ${REACH}; ${short(value)} becomes ${formats.map((f, i) => `${short(got[i])} in ${f.name}`).join(", ")}`}
          x={{ domain: [-REACH, REACH] }}
          height={formats.length * row + 50}
          table={{ title: "The numbers", columns: ["format", "reads back as", "error", "of the number"], rows: formats.map((f, i) => [f.name, short(got[i]), short(got[i] - value), value ? percent(Math.abs((got[i] - value) / value)) : "0%"]) }}
        >
          {({ x, invertX, width, height }) => (
            <>
              <line class="stroke reference" x1={x(value)} x2={x(value)} y2={height} />
              {formats.map((f, index) => {
                const base = index * row + 36;
                const seen = ticks(f, width / 3);
                return (
                  <g key={f.name}>
                    <text class="label" x={2} y={base - 20}>{f.name}</text>
                    <line class="grid" x2={width} y1={base} y2={base} />
                    {seen ? (
                      seen.map((tick) => <line key={tick} class="stroke code" x1={x(tick)} x2={x(tick)} y1={base - 9} y2={base} style={{ strokeWidth: 1 }} />)
                    ) : (
                      <rect class="fill code" opacity={0.35} width={width} y={base - 9} height={9} />
                    )}
                    <line class="stroke error" x1={x(value)} x2={x(got[index])} y1={base - 4} y2={base - 4} style={{ strokeWidth: 3 }} />
                    <circle class="fill code" cx={x(got[index])} cy={base - 4} r={5} />
                    <text class="halo" x={x(got[index])} y={base - 15} text-anchor={got[index] > 1.6 ? "end" : got[index] < -1.6 ? "start" : "middle"}>{short(got[index])}</text>
                  </g>
                );
              })}
              <Surface width={width} height={height} enter={(pixel) => setValue(Math.round(100 * Math.max(-REACH, Math.min(REACH, invertX(pixel)))) / 100)} />
            </>
          )}
        </Plot>
      </Figure>
      <p>
        A float has its ticks close together near zero, so small numbers lose little. The four-bit float has only {ticks(formats[5], 99)!.length} ticks here, and the integer even
        fewer. Below a quarter, the one makes nothing of a number, below a half the other. Most weights of real models are smaller than that: rounded like this, they would be gone.
      </p>
    </>
  );
}

/** The numbers of a format that are in reach; undefined if there are more than `most`. */
function ticks(f: Element, most: number): number[] | undefined {
  const found: number[] = [];
  let code = encode(f, -REACH);
  for (let value = decode(f, code); value <= REACH; value = decode(f, code)) {
    found.push(value || 0);
    if (found.length > most) return undefined;
    const above = next(f, code, 1);
    if (above === code) break;
    code = above;
  }
  return found;
}

/** What takes clicks and drags over a plot. The same can be set by a slider. */
function Surface({ width, height, enter }: { width: number; height: number; enter: (pixel: number) => void }) {
  const at = (event: PointerEvent & { currentTarget: SVGRectElement }) => enter(event.clientX - event.currentTarget.getBoundingClientRect().left);
  return (
    <rect
      class="surface"
      width={width}
      height={height}
      onPointerDown={(event) => (event.currentTarget.setPointerCapture(event.pointerId), at(event))}
      onPointerMove={(event) => event.buttons && at(event)}
    />
  );
}

const KINDS = [
  { value: "symmetric", label: "symmetric" },
  { value: "asymmetric", label: "asymmetric" },
  { value: "minimum", label: "with a minimum (Q4_1)" },
] as const;

function parsed(text: string): number[] {
  const found = text.split(",").map(Number);
  return found.length === VALUES.length && found.every((v) => Number.isFinite(v) && Math.abs(v) <= REACH) ? found : VALUES;
}

function Grids() {
  const [kind, setKind] = useParam<GridKind>("grid", "symmetric", KINDS.map((k) => k.value));
  const [bits, setBits] = useParam("bits", 4);
  const [shift, setShift] = useParam("shift", 0);
  const [text, setText] = useParam("values", VALUES.join(","));
  const base = parsed(text);
  const values = base.map((v) => Math.fround(Math.round(100 * (v + shift)) / 100));
  const g = fit(kind, Math.min(8, Math.max(2, Math.round(bits))), Math.min(...values), Math.max(...values));
  const codes = values.map((v) => encodeOn(g, v));
  const got = codes.map((c) => decodeOn(g, c));
  const error = Math.sqrt(values.reduce((sum, v, i) => sum + (got[i] - v) ** 2, 0) / values.reduce((sum, v) => sum + v * v, 0) || 0);
  const zero = decodeOn(g, encodeOn(g, 0));
  const change = (index: number, value: number) => setText(base.map((v, i) => (i === index ? Math.round(100 * (value - shift)) / 100 : v)).join(","));
  return (
    <>
      <h3>A grid of your own</h3>
      <p>
        The remedy is not to use one fixed set of numbers. Store a small integer, the <Term role="code">code</Term>, and one <Term role="scale">scale</Term> for
        a group of weights. A weight is then scale × code, and the scale makes the ticks just as wide as these weights need.
      </p>
      <p>
        A <strong>symmetric</strong> grid reaches as far below zero as above. If the weights lean to one side, half of the ticks are wasted. An{" "}
        <strong>asymmetric</strong> grid starts at the smallest weight and ends at the largest. Move all weights to one side and switch between the two.
      </p>
      <Figure title="Eight weights on a grid of codes" wide caption={<Explained g={g} zero={zero} />}>
        <Controls>
          <Choice id="grid" label="Grid" options={KINDS} value={kind} onChange={setKind} />
          <Slider id="bits" label="Bits of a code" min={2} max={8} step={1} value={g.bits} onInput={setBits} />
          <Slider id="shift" label="Move all weights" min={-1} max={1} step={0.01} value={shift} onInput={setShift} text={(v) => short(v, 3)} />
        </Controls>
        <p class="scrubs">
          The weights:{" "}
          {values.map((v, i) => (
            <Scrub key={i} id={`weight-${i}`} label={`Weight ${i + 1}`} value={Math.round(100 * v) / 100} min={-REACH} max={REACH} step={0.01} onInput={(to) => change(i, to)} text={(n) => short(n, 3)} />
          ))}
        </p>
        <GridLine g={g} values={values} got={got} />
        <Readout
          items={[
            { label: "scale", value: short(g.scale, 5), role: "scale", id: "scale" },
            kind === "minimum"
              ? { label: "minimum", value: short(g.minimum, 5), role: "scale", id: "offset" }
              : { label: "zero-point", value: `code ${g.zero}`, role: "scale", id: "offset" },
            { label: "0 reads back as", value: short(zero, 3), id: "zero" },
            { label: "error of the eight", value: percent(error, 2), role: "error", id: "grid-error" },
          ]}
        />
        <DataTable title="The eight weights" columns={["weight", "code", "reads back as", "error"]} rows={values.map((v, i) => [short(v, 3), codes[i], short(got[i]), short(got[i] - v, 3)])} />
      </Figure>
      <p>
        Why is it called a <strong>zero-point</strong>? Because it is the point of the grid where zero is: the code that decodes to exactly 0. On a symmetric grid
        it is always the middle code, so nobody needs to store it. On an asymmetric one it is a stored integer of its own. Zero deserves a tick: weights that
        were pruned, padding, and what many networks pass on are exact zeros.
      </p>
      <p>
        The formats of GGUF files that are called asymmetric, such as Q4_1, do it otherwise. They store no zero-point but a <strong>minimum</strong>, a float that is added: weight =
        scale × code + minimum. The grid then starts at exactly the smallest weight, and usually no code decodes to exactly 0.
      </p>
    </>
  );
}

function Explained({ g, zero }: { g: Grid; zero: number }) {
  const top = 2 ** g.bits - 1;
  if (g.kind === "minimum")
    return <>weight = {short(g.scale, 4)} × code + ({short(g.minimum, 4)}), codes 0 to {top}. {zero === 0 ? "One code happens to decode to 0." : `The tick nearest to 0 is ${short(zero, 3)}.`}</>;
  return (
    <>
      weight = {short(g.scale, 4)} × (code − {g.zero}), codes 0 to {top}.{" "}
      {g.kind === "symmetric" ? `The scale is the largest size of a weight, divided by ${2 ** (g.bits - 1) - 1}.` : `The scale is the whole range, 0 included, divided by ${top}.`}
    </>
  );
}

function GridLine({ g, values, got }: { g: Grid; values: number[]; got: number[] }) {
  const codes = Array.from({ length: 2 ** g.bits }, (_, code) => code);
  const [first, last] = [decodeOn(g, 0), decodeOn(g, codes.length - 1)];
  const low = Math.min(first, ...values, 0);
  const high = Math.max(last, ...values, 0);
  const room = 0.04 * (high - low) || 1;
  const hasZero = g.kind !== "minimum" && g.zero < codes.length;
  return (
    <Plot label={`A number line: ${codes.length} codes from ${short(first)} to ${short(last)}, and ${values.length} weights above it, each joined to its nearest code`} x={{ domain: [low - room, high + room], label: "weight" }} height={190}>
      {({ x, width, height }) => {
        const spread = Math.abs(x(last) - x(first)) / codes.length;
        return (
          <>
            <line class="grid" x1={x(0)} x2={x(0)} y2={height} />
            <text class="halo" x={x(0) + 5} y={12}>0</text>
            {codes.map((code) => (
              <g key={code} class="code">
                <line class="stroke" x1={x(decodeOn(g, code))} x2={x(decodeOn(g, code))} y1={90} y2={108} style={{ strokeWidth: spread < 4 ? 0.5 : 1.5 }} />
                {spread >= 18 && !(hasZero && code === g.zero) && <text x={x(decodeOn(g, code))} y={122} text-anchor="middle">{code}</text>}
              </g>
            ))}
            {hasZero && (
              <g class="scale">
                <line class="stroke scale" x1={x(0)} x2={x(0)} y1={84} y2={112} style={{ strokeWidth: 4, strokeDasharray: "none" }} />
                <text class="label halo" x={Math.min(width - 45, Math.max(45, x(0)))} y={134} text-anchor="middle">zero-point {g.zero}</text>
              </g>
            )}
            {values.map((v, i) => (
              <g key={i}>
                <line class="stroke error" x1={x(v)} x2={x(got[i])} y1={38} y2={84} />
                <circle class="weight" cx={x(v)} cy={32} r={6} />
                <circle class="fill code" cx={x(got[i])} cy={88} r={4} />
              </g>
            ))}
          </>
        );
      }}
    </Plot>
  );
}

const WAYS: { value: string; label: string; how?: (find: (name: string) => Element) => Storage }[] = [
  { value: "float32", label: "float32, as trained" },
  { value: "float8", label: "float8", how: (find) => ({ element: find("float8_e4m3fn"), scaled: false }) },
  { value: "float6", label: "float6", how: (find) => ({ element: find("float6_e2m3fn"), scaled: false }) },
  { value: "float4", label: "float4", how: (find) => ({ element: find("float4_e2m1fn"), scaled: false }) },
  { value: "float4-scaled", label: "float4 and scales", how: (find) => ({ element: find("float4_e2m1fn"), scaled: true }) },
  { value: "int4-scaled", label: "4-bit codes and scales", how: () => ({ bits: 4, scaled: true }) },
  { value: "int2-scaled", label: "2-bit codes and scales", how: () => ({ bits: 2, scaled: true }) },
];

function Repair({ formats }: { formats: Element[] }) {
  const { value: original, error } = useData<Network>("network");
  const [way, setWay] = useParam("store", "float4", WAYS.map((w) => w.value));
  const [warmth, setWarmth] = useParam(INPUTS[0], 0.3);
  const [damp, setDamp] = useParam(INPUTS[1], 0.2);
  if (error !== undefined) return <p class="problem" role="alert">{error}</p>;
  if (!original) return <p class="waiting" role="status">Loading…</p>;
  const how = WAYS.find((w) => w.value === way)!.how?.((name) => formats.find((f) => f.name === name)!);
  const net = how ? storedAs(original, how) : original;
  const same = agreement(net, original);
  return (
    <>
      <h3>A network broken, and repaired</h3>
      <p>
        This network decides whether to go outside, from the warmth and the damp of the day. Each of its four hidden neurons notices one kind of bad day: cold and damp, warm
        and dry, and so on. The shaded area of the map is where it says yes. The dotted line is where it said yes before its weights were rounded.
      </p>
      <Figure
        title="Twelve weights, stored in fewer bits"
        wide
        caption="Wires are as thick as their weights are large, and dashed where they are negative. Those in the colour of errors are off by more than a quarter. With scales, each neuron has one scale for all of its weights."
      >
        <Controls>
          <Select id="store" label="Weights are stored as" options={WAYS} value={way} onChange={setWay} />
          <Slider id="warmth" label="Warmth" min={-1} max={1} step={0.05} value={warmth} onInput={setWarmth} text={(v) => short(v, 2)} />
          <Slider id="damp" label="Damp" min={-1} max={1} step={0.05} value={damp} onInput={setDamp} text={(v) => short(v, 2)} />
        </Controls>
        <div class="side">
          <Wires net={net} before={original} inputs={[warmth, damp]} />
          <AnswerMap net={net} before={original} inputs={[warmth, damp]} />
        </div>
        <Readout items={[{ label: "answers as before", value: percent(same), role: same < 0.9 ? "error" : "code", id: "agreement" }]} />
      </Figure>
      <p>
        Eight bits change almost nothing. Four bits of a float without a scale have no number between 0 and a half, and the network forgets what it knew. The same four
        bits with a scale for each neuron give nearly all of it back. That is quantization: not fewer bits alone, but fewer bits and a scale that fits.
      </p>
    </>
  );
}
