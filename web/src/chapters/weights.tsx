/** Your weights: how they are spread, which are far out, and what the model says without one of them. */
import type { ComponentChildren } from "preact";
import { Chapter, Controls, Figure, Readout, Term } from "../components/chapter";
import { Choice, Select } from "../components/controls";
import { path, Plot } from "../components/plot";
import { visible } from "../components/tokens";
import { Data } from "../data";
import { percent, short, whole } from "../numbers";
import { useParam } from "../state";

interface Listed {
  name: string;
  layer: number | null;
  role: string;
  shape: number[];
  format: string;
  standard_deviation: number | null;
  value: number | null;
  index: number[];
  deviations: number | null;
}

interface Channels {
  run: number;
  loudness: number[];
}

interface Values {
  name: string;
  shape: number[];
  format: string;
  count: number;
  zeros: number;
  minimum: number | null;
  maximum: number | null;
  mean: number | null;
  standard_deviation: number | null;
  kurtosis: number | null;
  outliers: { index: number[]; value: number; deviations: number }[];
  histogram: { edges: number[]; counts: number[] };
  columns: Channels;
  rows: Channels;
}

interface Case {
  label: string;
  weights: { tensor: string; index: number[]; value: number; deviations: number }[];
  divergence: number;
  top: { text: string; reference: number; candidate: number }[];
  rest: { reference: number; candidate: number };
  written: string;
}

const SLIGHT = 0.02; // nats: what hardly shows
const REACH = 1.2; // of an axis, beyond the largest

type Removal = { unavailable: string } & Partial<{ prompt: string; tried: number; written: string; cases: Case[] }>;

export default function Weights() {
  return (
    <Chapter title="Your weights" lead="Most weights of a model are small and much alike. A few are neither, and they decide how hard the model is to quantize.">
      <Data<{ tensors: Listed[]; first: string | null }> name="weights" wait="Reading all weights">
        {({ tensors, first }) => (first ? <Body tensors={tensors} first={first} /> : <p>This file holds no matrices.</p>)}
      </Data>
      <h3>What one weight is worth</h3>
      <Data<Removal> name="removal" wait="Running the model without some of its weights">
        {(found) => (found.unavailable ? <p class="aside">What the model says without a weight cannot be shown: {found.unavailable}.</p> : <Removed found={found as Required<Removal>} />)}
      </Data>
    </Chapter>
  );
}

function Body({ tensors, first }: { tensors: Listed[]; first: string }) {
  const [name, setName] = useParam("tensor", first, tensors.map((t) => t.name));
  return (
    <>
      <p>
        Here is one matrix of your model: how many of its weights have which value. Nearly all crowd around zero. Count them on a logarithmic scale, and a long tail of{" "}
        <Term role="error">outliers</Term> appears, far beyond where the bell of a normal distribution (the <Term role="reference">dotted line</Term>) would have ended.
      </p>
      <Data<Values> name={`values/${name}`} wait="Reading the tensor">
        {(values) => <Spread values={values} select={<Select id="tensor" label="Tensor" options={tensors.map((t) => ({ value: t.name, label: `${t.name} (${t.format})` }))} value={name} onChange={setName} />} />}
      </Data>
      <p>
        How far out does it go, all over the model? Each dot below is the farthest weight of one matrix. If weights were drawn from a bell curve, the farthest of a million would lie about 5 standard
        deviations out. Pick a dot to see its matrix above.
      </p>
      <Everywhere tensors={tensors} name={name} pick={setName} />
      <Data<Values> name={`values/${name}`} wait="Reading the tensor">{(values) => <Loudness values={values} />}</Data>
    </>
  );
}

function Spread({ values, select }: { values: Values; select: ComponentChildren }) {
  const [kind, setKind] = useParam<"linear" | "log">("counts", "log", ["linear", "log"]);
  const { edges, counts } = values.histogram;
  const [mean, deviation] = [values.mean ?? 0, values.standard_deviation ?? 0];
  const most = Math.max(...counts, 1);
  const log = kind === "log";
  const floor = log ? 0.5 : 0;
  const width = edges[1] - edges[0];
  const bell = (at: number) => (deviation ? ((values.count * width) / (deviation * Math.sqrt(2 * Math.PI))) * Math.exp(-0.5 * ((at - mean) / deviation) ** 2) : NaN);
  const line = Array.from({ length: 241 }, (_, i) => edges[0] + ((edges[edges.length - 1] - edges[0]) * i) / 240);
  const far = values.outliers[0];
  return (
    <Figure
      title="The values of one matrix"
      wide
      caption={`${values.name}, ${values.shape.map(whole).join(" × ")}, stored as ${values.format}. Dashes at the bottom mark its ${values.outliers.length} farthest weights. Kurtosis measures how heavy the tails are: 3 for a bell curve, here ${values.kurtosis === null ? "undefined, since all weights are equal" : short(values.kurtosis, 3)}.`}
    >
      <Controls>
        {select}
        <Choice id="counts" label="Counts" options={[{ value: "linear", label: "linear" }, { value: "log", label: "logarithmic" }]} value={kind} onChange={setKind} />
      </Controls>
      <Plot
        label={`Histogram of ${whole(values.count)} weights from ${short(values.minimum ?? NaN)} to ${short(values.maximum ?? NaN)}, counts on a ${log ? "logarithmic" : "linear"} scale, with the bell curve of the same spread`}
        x={{ domain: [edges[0], edges[edges.length - 1]], label: "weight" }}
        y={{ domain: [floor, most * (log ? 2 : 1.08)], kind: log ? "log" : "linear", ticks: log ? powers(most) : 4, label: "how many", text: (n) => whole(n) }}
        height={300}
        table={{ title: "The farthest weights", columns: ["place", "weight", "standard deviations"], rows: values.outliers.map((o) => [`[${o.index.join(", ")}]`, short(o.value), short(o.deviations, 3)]) }}
      >
        {({ x, y, height }) => (
          <>
            {counts.map((n, i) => (n ? <rect key={i} class="fill code" opacity={0.6} x={x(edges[i])} width={Math.max(0.5, x(edges[i + 1]) - x(edges[i]) - 0.5)} y={y(n)} height={Math.max(0, height - y(n))} /> : null))}
            <path class="stroke reference" d={path(line.map((at) => [x(at), bell(at) < floor ? NaN : y(bell(at))]))} />
            {values.outliers.map((o, i) => (
              <line key={i} class="stroke error" x1={x(o.value)} x2={x(o.value)} y1={height - 12} y2={height} style={{ strokeDasharray: "none" }} />
            ))}
          </>
        )}
      </Plot>
      <Readout
        items={[
          { label: "weights", value: whole(values.count), id: "count" },
          { label: "standard deviation", value: short(deviation), role: "reference", id: "deviation" },
          { label: "farthest weight", value: far ? short(far.value) : "none", role: "error", id: "farthest" },
          { label: "standard deviations out", value: far ? short(far.deviations, 3) : "none", role: "error", id: "deviations" },
        ]}
      />
    </Figure>
  );
}

/** 1, 10, 100 … up to `most`. */
const powers = (most: number) => Array.from({ length: Math.floor(Math.log10(most)) + 1 }, (_, power) => 10 ** power);

function Everywhere({ tensors, name, pick }: { tensors: Listed[]; name: string; pick: (name: string) => void }) {
  const layered = tensors.filter((t) => t.layer !== null && t.deviations !== null);
  if (!layered.length) return null;
  const roles = [...new Set(layered.map((t) => t.role))];
  const layers = Math.max(...layered.map((t) => t.layer!));
  const size = (t: Listed) => Math.abs(t.deviations!);
  const most = Math.max(...layered.map(size)) * REACH;
  const current = layered.find((t) => t.name === name);
  const marked = layered.filter((t) => t.role === current?.role);
  return (
    <Figure
      title="The farthest weight of every matrix"
      wide
      caption={`${layered.length} matrices of ${roles.length} kinds in ${layers + 1} layers. Filled dots are of the same kind as the chosen matrix${current ? ` (${current.role})` : ""}.`}
    >
      <Plot
        label={`For each of ${layers + 1} layers, how far out the farthest weight of each matrix is, in standard deviations; the most is ${short(most / REACH, 3)}`}
        x={{ domain: [-0.7, layers + 0.7], label: "layer", text: (n) => String(n), ticks: Array.from({ length: layers + 1 }, (_, n) => n).filter((n) => n % Math.ceil((layers + 1) / 10) === 0) }}
        y={{ domain: [0, most], label: "standard deviations" }}
        height={280}
        table={{ title: "The matrices", columns: ["matrix", "farthest weight", "standard deviations", "place"], rows: layered.map((t) => [t.name, short(t.value!), short(t.deviations!, 3), `[${t.index.join(", ")}]`]) }}
      >
        {({ x, y, width, height, invertX, invertY }) => (
          <>
            {layered.map((t) => (
              <circle key={t.name} class={t.role === current?.role ? "fill code" : "weight"} cx={x(t.layer!)} cy={y(size(t))} r={t.name === name ? 8 : t.role === current?.role ? 5 : 3} />
            ))}
            {current && <text class="label halo" x={Math.min(width - 90, Math.max(90, x(current.layer!)))} y={Math.max(12, y(size(current)) - 13)} text-anchor="middle">{current.name}</text>}
            {marked.length === 0 && <text class="halo" x={8} y={20}>the chosen tensor is outside the layers</text>}
            <rect
              class="surface"
              width={width}
              height={height}
              onClick={(event) => {
                const box = event.currentTarget.getBoundingClientRect();
                const [layer, out] = [invertX(event.clientX - box.left), invertY(event.clientY - box.top)];
                const away = (t: Listed) => Math.hypot(x(t.layer!) - x(layer), y(size(t)) - y(out));
                pick(layered.reduce((best, t) => (away(t) < away(best) ? t : best)).name);
              }}
            />
          </>
        )}
      </Plot>
    </Figure>
  );
}

function Loudness({ values }: { values: Values }) {
  const [by, setBy] = useParam<"columns" | "rows">("by", "rows", ["columns", "rows"]);
  const { run, loudness } = values[by];
  const sorted = [...loudness].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const top = loudness.indexOf(sorted[sorted.length - 1]);
  return (
    <>
      <p>
        Outliers are not strewn about. They line up in a few <strong>channels</strong>: a column multiplies one input, a row makes one output, and some are much louder than the rest. Formats whose
        scales run along the rows suffer from loud columns, since a loud column puts an outlier into every row.
      </p>
      <Figure title="Channels" wide caption={`The root of the mean square of the weights in each ${by === "columns" ? "column" : "row"} of ${values.name}${run > 1 ? `; each bar is the loudest of ${run} neighbours` : ""}. The dotted line is the median.`}>
        <Controls>
          <Choice id="by" label="Channels are" options={[{ value: "rows", label: "rows (outputs)" }, { value: "columns", label: "columns (inputs)" }]} value={by} onChange={setBy} />
        </Controls>
        <Plot
          label={`The loudness of ${loudness.length} channels; the loudest is ${short(sorted[sorted.length - 1] / median, 3)} times the median`}
          x={{ domain: [0, loudness.length * run], label: by === "columns" ? "column" : "row" }}
          y={{ domain: [0, sorted[sorted.length - 1] * 1.12 || 1], label: "loudness", ticks: 4 }}
          height={220}
        >
          {({ x, y, width, height }) => (
            <>
              <path class="loud" d={loudness.map((v, i) => `M${x((i + 0.5) * run).toFixed(1)},${height}V${y(v).toFixed(1)}`).join("")} style={{ strokeWidth: Math.max(0.7, (width / loudness.length) * 0.8) }} />
              <line class="stroke reference" x2={width} y1={y(median)} y2={y(median)} />
            </>
          )}
        </Plot>
        <Readout
          items={[
            { label: `loudest ${by === "columns" ? "column" : "row"}`, value: run > 1 ? `${top * run} to ${top * run + run - 1}` : String(top), role: "error", id: "loudest" },
            { label: "times the median", value: short(sorted[sorted.length - 1] / median, 3), role: "error", id: "times" },
          ]}
        />
      </Figure>
    </>
  );
}

function Removed({ found }: { found: Required<Removal> }) {
  const [chosen, setChosen] = useParam("without", found.cases[0].label, found.cases.map((c) => c.label));
  const one = found.cases.find((c) => c.label === chosen)!;
  const bars = one.top.slice(0, 7);
  const most = Math.max(...bars.map((b) => Math.max(b.reference, b.candidate)), 0.01);
  const row = 40;
  return (
    <>
      <p>
        Set a single weight to zero and run the model again. For nearly every weight nothing changes that one could see. But there are exceptions, which researchers
        call super weights. Here {whole(found.tried)} were tried: the farthest ones of the matrices that lead out of the feed-forward blocks, where such weights are known to sit. The list starts with those that matter
        most.{found.cases[0].divergence < SLIGHT && " In this model, none of those tried makes a difference that a reader would notice."}
      </p>
      <Figure
        title="The next word, without one weight"
        wide
        caption={
          <>
            Grey outlines are what the model expects as it is, filled bars what it expects without. The divergence says how far apart the two are, in nats: 0 for no difference. The matrices concerned are multiplied
            as float32 in both runs.
          </>
        }
      >
        <Controls>
          <Select id="without" label="Without" options={found.cases.map((c) => ({ value: c.label, label: c.label }))} value={chosen} onChange={setChosen} />
        </Controls>
        <p class="prompt">
          “{found.prompt} <strong>…</strong>”
        </p>
        <Plot
          label={`What may come next: ${bars.map((b) => `${visible(b.text)} ${percent(b.reference)} with the weight and ${percent(b.candidate)} without`).join("; ")}`}
          x={{ domain: [0, most * 1.12], text: (p) => percent(p, 0), label: "probability" }}
          height={bars.length * row + 54}
          table={{ title: "The probabilities", columns: ["next", "with it", "without it"], rows: [...bars.map((b) => [visible(b.text), percent(b.reference, 2), percent(b.candidate, 2)])] }}
        >
          {({ x }) =>
            bars.map((b, i) => (
              <g key={b.text} transform={`translate(0,${i * row})`}>
                <text class="label" y={11}>{visible(b.text)} <tspan class="soft">{percent(b.reference)} → {percent(b.candidate)}</tspan></text>
                <rect class="fill code" y={16} height={14} width={Math.max(0.5, x(b.candidate))} />
                <rect class="outline" y={14} height={18} width={Math.max(0.5, x(b.reference))} />
              </g>
            ))
          }
        </Plot>
        <Readout
          items={[
            { label: "divergence", value: `${one.divergence.toFixed(3)} nats`, role: "error", id: "divergence" },
            ...one.weights.slice(0, 3).map((w) => ({ label: `${w.tensor} [${w.index.join(", ")}]`, value: `${short(w.value)} (${short(w.deviations, 3)} σ)`, role: "reference" as const })),
          ]}
        />
        <dl class="written">
          <dt>It goes on, as it is</dt>
          <dd>{found.prompt}<strong>{found.written}</strong></dd>
          <dt>and without</dt>
          <dd data-value="written">{found.prompt}<strong>{one.written}</strong></dd>
        </dl>
      </Figure>
      <p>
        A format that rounds such a weight badly harms the model more than its average error says. And damage does not simply add up: several weights taken out together may do less than one of them alone. So bitwright
        measures whole models, and not only weights.
      </p>
    </>
  );
}
