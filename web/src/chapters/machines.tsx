/** Which model, which machine: memory, speed and price; and whether to take a bigger model or a finer one. */
import { Chapter, Controls, Figure, Readout } from "../components/chapter";
import { Choice, Scrub, Select, Slider } from "../components/controls";
import { DataTable, Plot } from "../components/plot";
import { Data } from "../data";
import { bytes, short, whole } from "../numbers";
import { apart, Badge, Labels, Legend, spread, TONES } from "../report/lines";
import type { Comparison } from "../report/types";
import { span, fixed } from "../report/words";
import { useParam } from "../state";

interface Recipe {
  name: string;
  bits_per_weight: number;
  file_bytes: number;
  weights_bytes: number;
  overhead_bytes: number;
  kv_bytes: number[]; // by context
  compute_bytes: number[];
}

interface Device {
  id: string;
  name: string;
  kind: string;
  capacity_bytes: number | null;
  price: null | { usd: number; condition: string; date: string; source: string };
  decode: (null | { tokens_per_second: number; low: number; high: number })[][]; // by recipe and context
}

interface Machines {
  model: { name: string; parameters: number; active_parameters: number; context: number };
  contexts: number[];
  recipes: Recipe[];
  devices: Device[];
}

const PARTS = ["weights", "keys and values", "buffers", "the engine"];

export default function MachinesChapter() {
  return (
    <Chapter title="Which model, which machine" lead="Memory decides what runs at all. Bandwidth decides how fast. Price decides the rest.">
      <p>
        A model in memory is more than its file. Every token that it reads leaves keys and values behind, which it looks at again for each new token. Long texts can
        take more room than the weights.
      </p>
      <Data<{ shapes: string[] }> name="shapes">{({ shapes }) => <Planned shapes={shapes} />}</Data>
      <h3>A small model in full, or a bigger one quantized?</h3>
      <p>
        Two real models answer, on the same text. Bits per byte do not depend on the tokenizer, so models with different vocabularies can be compared: fewer are better.
        The bigger model at four bits comes out ahead of the smaller one in full, in fewer bytes, though sixteen documents are too few to be sure of it. At two bits it falls
        behind: a bigger model is worth having while its bits last.
      </p>
      <Data<Comparison> name="two-models">{(report) => <Sizes report={report} />}</Data>
    </Chapter>
  );
}

function Planned({ shapes }: { shapes: string[] }) {
  const [model, setModel] = useParam("model", "qwen3-14b", shapes);
  return (
    <>
      <Controls>
        <Select id="model" label="Model" options={shapes.map((name) => ({ value: name, label: name === "this" ? "the model of these pages" : name }))} value={model} onChange={setModel} />
      </Controls>
      <Data<Machines> name={`machines/${model}`} wait="Planning for 87 devices">{(machines) => <Body key={model} machines={machines} />}</Data>
    </>
  );
}

function Body({ machines }: { machines: Machines }) {
  const { contexts, recipes, devices, model } = machines;
  const [step, setStep] = useParam("context", Math.min(3, contexts.length - 1));
  const [device, setDevice] = useParam("device", "rtx-3060-12gb", devices.map((d) => d.id));
  const [recipe, setRecipe] = useParam("recipe", recipes.some((r) => r.name === "q4_k_m") ? "q4_k_m" : recipes[0].name, recipes.map((r) => r.name));
  const at = Math.min(contexts.length - 1, Math.max(0, Math.round(step)));
  const [d, r] = [devices.find((one) => one.id === device)!, recipes.findIndex((one) => one.name === recipe)];
  const rate = d.decode[r][at];
  const room = d.capacity_bytes;
  const longest = contexts.filter((_, n) => room !== null && total(recipes[r], n) <= room).at(-1);
  return (
    <>
      <Figure
        title="What it takes"
        wide
        caption={`${model.name}: ${short(model.parameters / 1e9, 3)} billion parameters${
          model.active_parameters < 0.8 * model.parameters ? `, of which a token uses ${short(model.active_parameters / 1e9, 3)} billion` : ""
        }. The line is what ${d.name} has for a model, its driver's part taken off.`}
      >
        <Controls>
          <Slider id="context" label="Context" min={0} max={contexts.length - 1} step={1} value={at} onInput={setStep} text={(n) => `${whole(contexts[n])} tokens`} />
          <Select id="device" label="Device" options={devices.map((one) => ({ value: one.id, label: one.name }))} value={device} onChange={setDevice} />
        </Controls>
        <Stacks recipes={recipes} at={at} room={room} name={d.name} />
        <Legend names={PARTS} filled />
      </Figure>
      <p>
        With{" "}
        <Scrub id="words" label="Context" value={at} min={0} max={contexts.length - 1} step={1} pixels={30} onInput={setStep} text={(n) => `${whole(contexts[n])} tokens`} /> of
        context, {recipes[r].name} takes {bytes(total(recipes[r], at))}
        {room === null ? `; how much memory ${d.name} has is not known` : total(recipes[r], at) <= room ? `, which fits on ${d.name}` : `, more than ${d.name} has for it (${bytes(room)})`}
        .{room !== null && total(recipes[r], at) > room && (longest === undefined ? " No context that is useful makes it fit." : ` With ${whole(longest)} tokens it fits.`)}
      </p>
      <Figure
        title="How fast, for how much"
        wide
        caption={`Predicted decode speed of llama.cpp with the context half full; whiskers hold 90% of what was published for other models. ${
          devices.filter((one) => one.price && one.decode[r][at]).length
        } of ${devices.filter((one) => one.decode[r][at]).length} devices that run it have a price with a date and a source; only they are drawn.`}
      >
        <Controls>
          <Choice id="recipe" label="Format" options={recipes.map((one) => ({ value: one.name, label: one.name }))} value={recipe} onChange={setRecipe} />
        </Controls>
        <Prices devices={devices} recipe={r} at={at} chosen={device} />
        <Readout
          items={[
            { label: `${d.name}: tokens a second`, value: rate ? `${short(rate.tokens_per_second)} (${short(rate.low)} to ${short(rate.high)})` : "does not run it", id: "rate" },
            { label: "memory", value: bytes(total(recipes[r], at)), id: "total" },
            { label: "price", value: d.price ? `$${whole(d.price.usd)} (${d.price.condition}, ${d.price.date})` : "not known" },
          ]}
        />
      </Figure>
    </>
  );
}

const parts = (r: Recipe, at: number) => [r.weights_bytes, r.kv_bytes[at], r.compute_bytes[at], r.overhead_bytes];
const total = (r: Recipe, at: number) => parts(r, at).reduce((sum, part) => sum + part, 0);

function Stacks({ recipes, at, room, name }: { recipes: Recipe[]; at: number; room: number | null; name: string }) {
  const most = Math.max(...recipes.map((r) => total(r, at)), room && room < 1.6 * Math.max(...recipes.map((r) => total(r, at))) ? room : 0) / 1e9;
  const tall = 40;
  const said = (r: Recipe) => `${r.name}: ${bytes(total(r, at))}${room === null ? "" : total(r, at) <= room ? ", fits" : ", does not fit"}`;
  return (
    <Plot
      label={`Memory by format. ${recipes.map(said).join("; ")}`}
      x={{ domain: [0, most * 1.04], label: "GB", grid: true }}
      height={recipes.length * tall + 56}
      table={{
        title: "The bytes",
        columns: ["format", ...PARTS.map((part) => `>${part}`), ">together"],
        rows: recipes.map((r) => [r.name, ...parts(r, at).map(bytes), bytes(total(r, at))]),
      }}
    >
      {({ x, height }) => (
        <>
          {recipes.map((r, n) => {
            let from = 0;
            return (
              <g key={r.name} transform={`translate(0,${n * tall})`}>
                <text class="label" x={2} y={12}>{said(r)}</text>
                {parts(r, at).map((part, k) => {
                  const start = from;
                  from += part / 1e9;
                  return <rect key={k} class={`fill t${k % TONES}`} x={x(start)} width={Math.max(0, x(from) - x(start) - 0.6)} y={17} height={15} />;
                })}
              </g>
            );
          })}
          {room !== null && room / 1e9 < most * 1.04 && (
            <g class="reference">
              <path class="stroke" d={`M${x(room / 1e9)},0V${height}`} />
              <text x={x(room / 1e9) - 4} y={height - 4} text-anchor="end" class="halo">{name}</text>
            </g>
          )}
        </>
      )}
    </Plot>
  );
}

function Prices({ devices, recipe, at, chosen }: { devices: Device[]; recipe: number; at: number; chosen: string }) {
  const sold = devices.flatMap((d) => (d.price && d.decode[recipe][at] ? [{ d, usd: d.price.usd, rate: d.decode[recipe][at]! }] : []));
  if (!sold.length) return <p class="aside">No device with a known price runs this with so much context. Try fewer bits or a shorter context.</p>;
  const [cheap, dear] = [Math.min(...sold.map((s) => s.usd)), Math.max(...sold.map((s) => s.usd))];
  return (
    <>
      <Plot
        label={`Decode speed by price. ${sold.map(({ d, usd, rate }) => `${d.name}: ${short(rate.tokens_per_second, 3)} tokens a second, $${whole(usd)}`).join("; ")}`}
        x={{ domain: [cheap / 1.4, dear * 1.4], kind: "log", label: "US dollars", ticks: [100, 200, 500, 1000, 2000, 5000, 10000], text: (v) => `$${whole(v)}` }}
        y={{ domain: [0, Math.max(...sold.map((s) => s.rate.high))], label: "tokens a second" }}
        height={320}
      >
        {({ x, y, width, height }) => {
          const points = sold.map(({ usd, rate }): [number, number] => [x(usd), y(rate.tokens_per_second)]);
          const badges = apart(points, width, height);
          return sold.map(({ d, usd, rate }, n) => (
            <g key={d.id} class={d.id === chosen ? "error" : "code"}>
              <path class="whisker" d={`M${x(usd)},${y(rate.low)}V${y(rate.high)}`} />
              <Badge number={n + 1} point={points[n]} at={badges[n]} />
            </g>
          ));
        }}
      </Plot>
      <DataTable
        title="Devices with a price"
        columns={["device", ">tokens a second", ">90% interval", ">price", "seen"]}
        rows={sold.map(({ d, usd, rate }, n) => [
          `${n + 1} ${d.name}`,
          short(rate.tokens_per_second, 3),
          `${short(rate.low, 3)} to ${short(rate.high, 3)}`,
          `$${whole(usd)}`,
          `${d.price!.condition}, ${d.price!.date}: ${d.price!.source}`,
        ])}
      />
    </>
  );
}

/** Which family a file belongs to: its name up to the first dot. */
const family = (name: string) => name.split(".")[0];

function Sizes({ report }: { report: Comparison }) {
  const files = [...report.models].sort((a, b) => a.model.file_bytes - b.model.file_bytes);
  const families = [...new Set(files.map((m) => family(m.model.name)))];
  const values = files.flatMap(({ bits_per_byte: b }) => [b.low ?? b.mean, b.high ?? b.mean]);
  const pad = 0.06 * (Math.max(...values) - Math.min(...values));
  return (
    <Figure
      title="Bigger and quantized, or smaller and full"
      wide
      caption="Whiskers are 95% intervals over documents, wide because documents differ; the table compares two files on the same documents, which tells much more. Both models are small enough to measure here; they were trained on different data, so that size is not all in which they differ."
    >
      <Plot
        label={`Bits per byte by size of the file. ${files.map((m) => `${m.model.name}: ${bytes(m.model.file_bytes)}, ${m.bits_per_byte.mean.toFixed(4)}`).join("; ")}`}
        x={{ domain: [0, Math.max(...files.map((m) => m.model.file_bytes / 1e6)) * 1.08], label: "file, MB" }}
        y={{ domain: [Math.min(...values) - pad, Math.max(...values) + pad], label: "bits per byte of text", text: fixed(2) }}
        height={320}
        table={{
          title: "The files",
          columns: ["file", ">bytes", ">bits per byte", ">95% interval"],
          rows: files.map((m) => [m.model.name, bytes(m.model.file_bytes), ...span(m.bits_per_byte, fixed(4))]),
        }}
      >
        {({ x, y, width }) => {
          const recipe = (m: Comparison["models"][number]) => m.model.name.slice(family(m.model.name).length + 1).replace(".gguf", "");
          const labels = spread(files.map((m) => ({ text: recipe(m), x: x(m.model.file_bytes / 1e6), y: y(m.bits_per_byte.mean) })), width);
          const lines = families.map((name, n) => {
            const own = files.filter((m) => family(m.model.name) === name);
            const place = (m: Comparison["models"][number]) => `${x(m.model.file_bytes / 1e6)},${y(m.bits_per_byte.mean)}`;
            return (
              <g key={name} class={`tone t${n % TONES}`}>
                <path class="stroke" d={`M${own.map(place).join("L")}`} />
                {own.map((m) => (
                  <g key={m.model.name}>
                    {m.bits_per_byte.low !== null && <path class="whisker" d={`M${x(m.model.file_bytes / 1e6)},${y(m.bits_per_byte.low)}V${y(m.bits_per_byte.high!)}`} />}
                    <circle class="fill" cx={x(m.model.file_bytes / 1e6)} cy={y(m.bits_per_byte.mean)} r={5} />
                  </g>
                ))}
              </g>
            );
          });
          return [...lines, <Labels key="labels" labels={labels} />];
        }}
      </Plot>
      <Legend names={families} />
      <DataTable
        title="Files of different models, compared text by text"
        columns={["file", "is", "than", ">bits per byte more", ">95% interval"]}
        rows={report.pairs.filter((p) => family(p.first) !== family(p.second)).map((p) => [p.first, p.verdict, p.second, ...span(p.difference, fixed(4))])}
      />
    </Figure>
  );
}
