/** Parameters: a neuron, a network small enough to see, and how the count grows until it is that of the model. */
import { answer, type Network } from "../arithmetic/network";
import { Chapter, Controls, Figure, Readout, Term } from "../components/chapter";
import { Button, Scrub, Slider } from "../components/controls";
import { AnswerMap, agreement, INPUTS, Wires } from "../components/network";
import { path, Plot } from "../components/plot";
import { Data } from "../data";
import { bytes, compact, percent, short, whole } from "../numbers";
import { useParam } from "../state";

interface Part {
  kind: Kind;
  shape: number[];
}

interface Sizes {
  parameters: number;
  width: number | null;
  vocabulary: number | null;
  layers: Part[][];
  outside: Part[];
}

const KINDS = [
  { kind: "vocabulary", role: "reference", about: "a row of numbers for every word it knows" },
  { kind: "attention", role: "scale", about: "how words look at each other" },
  { kind: "feed-forward", role: "code", about: "what is done with each word" },
  { kind: "other", role: "error", about: "small ones in between" },
] as const;
type Kind = (typeof KINDS)[number]["kind"];

const DEGREES: [number, number][] = [[-40, -40], [0, 32], [20, 68], [37, 98.6], [100, 212]];
const DOZEN = 12; // weights of the network; its five biases follow

export default function Parameters() {
  return (
    <Chapter title="Parameters" lead="A model is a long list of numbers, and a recipe that multiplies and adds them. The numbers are its parameters. Let us begin with two of them.">
      <Neuron />
      <Data<Network> name="network">{(original) => <Seventeen original={original} />}</Data>
      <Data<Sizes> name="sizes">{(sizes) => <Growth sizes={sizes} />}</Data>
    </Chapter>
  );
}

function Neuron() {
  const [weight, setWeight] = useParam("weight", 1);
  const [bias, setBias] = useParam("bias", 0);
  const [input, setInput] = useParam("input", 20);
  const said = weight * input + bias;
  const error = Math.sqrt(DEGREES.reduce((sum, [c, f]) => sum + (weight * c + bias - f) ** 2, 0) / DEGREES.length);
  return (
    <>
      <p>
        This one neuron has one input, a <strong>weight</strong> that it multiplies the input by, and a <strong>bias</strong> that it adds. It is to turn degrees Celsius into degrees Fahrenheit. Move the
        two parameters until its line runs through all the dots. You have just trained a network.
      </p>
      <Figure title="Two parameters" wide caption="The dots are what it should say, the line what it says. Training is done by such small moves, each of which makes the error a little smaller, for all parameters at once.">
        <Controls>
          <Slider id="weight" label="Weight" min={-1} max={3} step={0.05} value={weight} onInput={setWeight} text={(v) => short(v, 3)} />
          <Slider id="bias" label="Bias" min={-50} max={100} step={1} value={bias} onInput={setBias} />
          <Slider id="input" label="Input, °C" min={-40} max={100} step={1} value={input} onInput={setInput} />
        </Controls>
        <Plot label={`A line with slope ${short(weight)} through ${short(bias)} at 0, and ${DEGREES.length} dots that it should run through`} x={{ domain: [-45, 105], label: "input: °C" }} y={{ domain: [-60, 230], label: "output: °F", ticks: 5 }} height={260}>
          {({ x, y }) => (
            <>
              <path class="stroke code" d={path([-45, 105].map((c) => [x(c), y(weight * c + bias)]))} />
              {DEGREES.map(([c, f]) => (
                <g key={c}>
                  <line class="stroke error" x1={x(c)} x2={x(c)} y1={y(f)} y2={y(weight * c + bias)} />
                  <circle class="weight" cx={x(c)} cy={y(f)} r={6} />
                </g>
              ))}
              <circle class="fill code" cx={x(input)} cy={y(said)} r={5} />
            </>
          )}
        </Plot>
        <p class="formula">
          {short(weight, 3)} × {input} + {bias} = <output class="value" data-value="line">{short(said, 4)}</output> °F
        </p>
        <Readout items={[{ label: "error", value: `${error.toFixed(1)} °F`, role: "error", id: "line-error" }]} />
      </Figure>
    </>
  );
}

/** The 12 weights and 5 biases in a row, and back. */
const flat = (n: Network) => [...n.hidden.weights.flat(), ...n.output.weights, ...n.hidden.bias, n.output.bias];
const built = (v: number[]): Network => ({
  hidden: { weights: [0, 2, 4, 6].map((i) => v.slice(i, i + 2)), bias: v.slice(12, 16) },
  output: { weights: v.slice(8, 12), bias: v[16] },
});

function Seventeen({ original }: { original: Network }) {
  const start = flat(original);
  const [text, setText] = useParam("net", "");
  const [warmth, setWarmth] = useParam(INPUTS[0], 0.3);
  const [damp, setDamp] = useParam(INPUTS[1], 0.2);
  const given = text.split(",").map(Number);
  const values = text && given.length === start.length && given.every((v) => Number.isFinite(v) && Math.abs(v) <= 2) ? given : start;
  const net = built(values);
  const said = answer(net, [warmth, damp]);
  const change = (index: number, value: number) => setText(values.map((v, i) => (i === index ? Math.round(1000 * value) / 1000 : v)).join(","));
  const scrub = (index: number, name: string) => (
    <Scrub key={index} id={`p${index}`} label={name} value={values[index]} min={-1} max={1} step={0.01} onInput={(v) => change(index, v)} text={(v) => short(v, 3)} />
  );
  return (
    <>
      <p>
        One neuron can only draw a straight line. Several of them, in two layers, can do more. This network is to say whether to go outside, from the warmth and the damp of the day. Each hidden neuron multiplies the two
        inputs by its weights, adds its bias, and says nothing if the sum is below zero. The output adds up what they say. With twelve weights and five biases, it has <strong>17 parameters</strong>.
      </p>
      <Figure
        title="Seventeen parameters"
        wide
        caption="Wires are as thick as their weights are large, and dashed where they are negative. Circles show what each neuron says. The shaded area of the map is where the answer is yes, the dotted line where it was before you changed anything; the dot is today."
      >
        <Controls>
          <Slider id="warmth" label="Warmth" min={-1} max={1} step={0.05} value={warmth} onInput={setWarmth} text={(v) => short(v, 2)} />
          <Slider id="damp" label="Damp" min={-1} max={1} step={0.05} value={damp} onInput={setDamp} text={(v) => short(v, 2)} />
          <Button id="reset" disabled={values === start} onClick={() => setText("")}>As trained</Button>
        </Controls>
        <div class="side">
          <Wires net={net} before={original} inputs={[warmth, damp]} />
          <AnswerMap net={net} before={original} inputs={[warmth, damp]} />
        </div>
        <Readout
          items={[
            { label: "output", value: short(said, 3), id: "output" },
            { label: "answer", value: said > 0 ? "yes" : "no", role: "code", id: "answer" },
            { label: "answers as trained", value: percent(agreement(net, original)), role: "reference", id: "agreement" },
          ]}
        />
        <p class="scrubs">
          Drag any of them. Weights:{" "}
          {values.slice(0, DOZEN).map((_, i) => scrub(i, i < 8 ? `Weight from ${INPUTS[i % 2]} to hidden neuron ${Math.floor(i / 2) + 1}` : `Weight from hidden neuron ${i - 7} to the output`))}
          <br />
          Biases:{" "}
          {values.slice(DOZEN).map((_, i) => scrub(DOZEN + i, i < 4 ? `Bias of hidden neuron ${i + 1}` : "Bias of the output"))}
        </p>
      </Figure>
      <p>
        What the network knows is nowhere in particular. It is in the numbers, all together. And notice that they need not be exact: the answers stay nearly the same if you change a weight a little. That is what makes quantization possible.
      </p>
    </>
  );
}

/** A model's count at another width: every dimension shrinks with it, but not the vocabulary. */
function counted(sizes: Sizes, width: number, layers: number): Record<Kind, number> {
  const sum: Record<Kind, number> = { vocabulary: 0, attention: 0, "feed-forward": 0, other: 0 };
  const scaled = (n: number) => (n === sizes.vocabulary || width === sizes.width ? n : Math.max(1, Math.round((n * width) / sizes.width!)));
  for (const { kind, shape } of [...sizes.outside, ...sizes.layers.slice(0, layers).flat()]) sum[kind] += shape.reduce((product, n) => product * scaled(n), 1);
  return sum;
}

const total = (counts: Record<Kind, number>) => Object.values(counts).reduce((a, b) => a + b, 0);

function Growth({ sizes }: { sizes: Sizes }) {
  const [asked, setWidth] = useParam("width", 8);
  const [depth, setDepth] = useParam("layers", 1);
  if (sizes.width === null || !sizes.layers.length) {
    return <p>This model has {whole(sizes.parameters)} parameters. How the count grows cannot be shown: the file does not embed tokens in layers of one width.</p>;
  }
  const most = sizes.width;
  const width = Math.min(most, Math.max(1, Math.round(asked)));
  const layers = Math.min(sizes.layers.length, Math.max(1, Math.round(depth)));
  const counts = counted(sizes, width, layers);
  const all = total(counts);
  const whole_model = width === most && layers === sizes.layers.length;
  const widths = Array.from({ length: 41 }, (_, i) => Math.round(most ** (i / 40)));
  const curve = widths.map((w) => [w, total(counted(sizes, w, layers))]);
  const least = curve[0][1];
  return (
    <>
      <h3>From seventeen to {short(sizes.parameters, 3).includes("×") ? whole(sizes.parameters) : short(sizes.parameters, 3)}</h3>
      <p>
        A language model is built of the same parts. Only there are more of them. Its <strong>width</strong> is how many numbers stand for a word as it passes through. A layer that takes so many numbers in and gives as many out
        needs a weight for every pair, so twice the width is four times the weights. Then such layers are stacked.
      </p>
      <Figure title="Grow it until it is your model" wide caption={whole_model ? "This is your model: the count is the one that bitwright inspect prints." : "The dotted line is your model. Every matrix shrinks with the width; the vocabulary keeps its words."}>
        <Controls>
          <Slider id="width" label="Width" min={0} max={1} step={0.005} value={Math.log(width) / Math.log(most)} onInput={(t) => setWidth(Math.round(most ** t))} text={() => whole(width)} />
          <Slider id="layers" label="Layers" min={1} max={sizes.layers.length} step={1} value={layers} onInput={setDepth} />
          <Button id="whole" disabled={whole_model} onClick={() => (setWidth(most), setDepth(sizes.layers.length))}>Your model</Button>
        </Controls>
        <Readout
          items={[
            { label: "parameters", value: whole(all), id: "parameters" },
            { label: "times the network above", value: whole(Math.round(all / 17)), id: "times" },
            { label: "in float32", value: bytes(4 * all), role: "reference", id: "float32" },
            { label: "in 4.5 bits", value: bytes(Math.round((4.5 * all) / 8)), role: "code", id: "small" },
          ]}
        />
        <Plot
          label={`Parameters against width with ${layers} layers, both axes logarithmic; now ${whole(all)} of ${whole(sizes.parameters)}`}
          x={{ domain: [1, most * 1.3], kind: "log", ticks: powersOf(4, most), text: whole, label: "width" }}
          y={{ domain: [least / 2, sizes.parameters * 2], kind: "log", ticks: powersOf(10, sizes.parameters).filter((n) => n >= least / 2), text: compact, label: "parameters" }}
          height={260}
        >
          {({ x, y, width: room }) => (
            <>
              <line class="stroke reference" x2={room} y1={y(sizes.parameters)} y2={y(sizes.parameters)} />
              <text class="halo" x={8} y={y(sizes.parameters) + 16}>your model: {whole(sizes.parameters)}</text>
              <path class="stroke code" d={path(curve.map(([w, n]) => [x(w), y(n)]))} />
              <circle class="fill code" cx={x(width)} cy={y(all)} r={7} />
            </>
          )}
        </Plot>
        <Plot
          label={`Where the parameters are: ${KINDS.map(({ kind }) => `${percent(counts[kind] / all)} ${kind}`).join(", ")}`}
          x={{ domain: [0, 1], text: (v) => percent(v, 0), label: "of all parameters" }}
          height={84}
          table={{ title: "Where they are", columns: ["part", "what it is", "parameters", "share"], rows: KINDS.map(({ kind, about }) => [kind, about, whole(counts[kind]), percent(counts[kind] / all)]) }}
        >
          {({ x }) =>
            KINDS.map(({ kind, role }, n) => {
              const before = KINDS.slice(0, n).reduce((sum, one) => sum + counts[one.kind], 0) / all;
              const room = x(counts[kind] / all) - x(0);
              return (
                <g key={kind} class={role}>
                  <rect class="fill" x={x(before)} width={Math.max(0, room - 1)} height={30} />
                  {room > 8 * kind.length + 12 && <text class="inside" x={x(before) + 8} y={19}>{kind}</text>}
                </g>
              );
            })
          }
        </Plot>
      </Figure>
      <p>
        Nearly all of these numbers must be read from memory for every word that the model writes. In float32 each takes four bytes. The rest of these pages is about how to store each in <Term role="code">four bits</Term>, and what is lost.
      </p>
    </>
  );
}

/** 1, base, base² … up to `most`. */
const powersOf = (base: number, most: number) => Array.from({ length: Math.floor(Math.log(most) / Math.log(base) + 1e-9) + 1 }, (_, n) => base ** n);
