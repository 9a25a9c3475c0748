/** What the chip does: fetching against multiplying, for every format and every device. */
import { Chapter, Controls, Figure, Readout, Term } from "../components/chapter";
import { Choice, Scrub, Select, Slider } from "../components/controls";
import { DataTable, path, Plot } from "../components/plot";
import { Data } from "../data";
import { compact, percent, short, whole } from "../numbers";
import { Labels, spread } from "../report/lines";
import { useParam } from "../state";

interface Devices {
  devices: { id: string; name: string; kind: string; vendor: string }[];
  measured: boolean;
}

interface Way {
  format: string;
  bits_per_weight: number;
  stored: string;
  loaded: string;
  converted_to: string;
  multiplied_as: string | null;
  accumulated_in: string | null;
  scaled: string;
  headline: string;
  path: string;
  chip_could: { format: string; unit: string; instruction: string } | null;
  instruction: string | null;
  unit: string | null;
  decode_note: string;
  prefill_note: string;
  break_even_tokens: number | null;
  verified: { way: string; peak: string; bandwidth: string };
  stored_bytes_per_second: number | null;
  operations_per_second: number | null;
}

interface Speed {
  tokens_per_second: number;
  low: number;
  high: number;
}

interface Chip {
  device: { id: string; name: string; kind: string; bandwidth: number; standing: string };
  measured: boolean;
  weights: number;
  formats: Way[];
  models: { name: string; weights: number; recipes: { recipe: string; bits_per_weight: number; decode: Speed; prefill: Speed }[] }[];
  without_speeds: string | null;
}

const HERE = "this-machine";
const FIRST = "rtx-4090-24gb";
const MOST = 11; // 2^11 tokens at once

export default function ChipChapter() {
  return (
    <Chapter title="What the chip does" lead="A smaller model is faster, too. Not because small numbers are easier to multiply: mostly because there is less to fetch.">
      <Data<Devices> name="chips">{(found) => <Body found={found} />}</Data>
    </Chapter>
  );
}

function Body({ found }: { found: Devices }) {
  const ids = [HERE, ...found.devices.map((d) => d.id)];
  const fallback = found.devices.some((d) => d.id === FIRST) ? FIRST : found.devices[0].id;
  const [device, setDevice] = useParam("device", found.measured ? HERE : fallback, ids);
  const label = found.measured ? "This machine, as measured" : "This machine (measuring takes a minute)";
  return (
    <>
      <p>
        To write one token, a chip multiplies every weight of the model by a number, once. So every weight has to come from memory, and memory is slow: most chips can do tens or hundreds of
        multiplications in the time that one weight takes to arrive. The multiplier waits.
      </p>
      <p>
        To read a prompt, the same weights are used for hundreds of tokens at once. They are fetched once and multiplied hundreds of times, and now the memory waits. So there are two different questions: how
        many bytes has a weight, and what is it multiplied as?
      </p>
      <Controls>
        <Select id="device" label="Chip" value={device} onChange={setDevice} options={[{ value: HERE, label }, ...found.devices.map((d) => ({ value: d.id, label: d.name }))]} />
      </Controls>
      <Data<Chip> key={device} name={`chip/${device}`} wait={device === HERE ? "Measuring this machine" : "Looking up the chip"}>
        {(chip) => <Shown chip={chip} />}
      </Data>
    </>
  );
}

/** Seconds that a step over `tokens` tokens takes to fetch the weights, and to multiply them. */
function times(chip: Chip, way: Way, tokens: number): { fetch: number; multiply: number } {
  return {
    fetch: (chip.weights * way.bits_per_weight) / 8 / (way.stored_bytes_per_second ?? NaN),
    multiply: (2 * chip.weights * tokens) / (way.operations_per_second ?? NaN),
  };
}

const rate = (chip: Chip, way: Way, tokens: number) => {
  const { fetch, multiply } = times(chip, way, tokens);
  return tokens / Math.max(fetch, multiply);
};

const time = (seconds: number) => (seconds >= 1 ? `${short(seconds, 3)} s` : seconds >= 1e-3 ? `${short(seconds * 1e3, 3)} ms` : `${short(seconds * 1e6, 3)} µs`);
const known = (way: Way) => way.operations_per_second !== null && way.stored_bytes_per_second !== null;

function Shown({ chip }: { chip: Chip }) {
  const names = chip.formats.filter(known).map((f) => f.format);
  const [name, setName] = useParam("format", "q4_k", names);
  const [other, setOther] = useParam("beside", "float16", names);
  const [power, setPower] = useParam("tokens", 0);
  const tokens = 2 ** power;
  const way = chip.formats.find((f) => f.format === name && known(f));
  const beside = chip.formats.find((f) => f.format === other && known(f)) ?? way;
  if (!way || !beside) return <p class="problem">What this chip reaches is not known well enough for a figure.</p>;
  const [own, its] = [times(chip, way, tokens), times(chip, beside, tokens)];
  const longest = Math.max(own.fetch, own.multiply, its.fetch, its.multiply);
  const limit = ({ fetch, multiply }: typeof own) => (fetch >= multiply ? "memory" : "arithmetic");
  const gain = rate(chip, way, tokens) / rate(chip, beside, tokens);
  const steps = Array.from({ length: MOST * 8 + 1 }, (_, k) => 2 ** (k / 8));
  const lines = [way, beside].flatMap((w) => steps.map((t) => rate(chip, w, t)));
  const [low, high] = [Math.min(...lines) / 1.2, Math.max(...lines) * 1.5];
  const options = names.map((n) => ({ value: n, label: n }));
  return (
    <>
      <Figure
        title="Fetching against multiplying"
        wide
        caption={`Your model, ${short(chip.weights / 1e6, 3)} million weights in use, on ${chip.device.name}, which reads ${short(chip.device.bandwidth / 1e9, 3)} GB/s. ${chip.measured ? "Rates are those that bitwright's kernels reach here." : `These are limits of the chip (${way.verified.peak}, ${way.verified.bandwidth}); programs stay below them.`}`}
      >
        <Controls>
          <Select id="format" label="Weights stored as" value={name} onChange={setName} options={options} />
          <Select id="beside" label="Compare with" value={other} onChange={setOther} options={options} />
          <Slider id="tokens" label="Tokens at once" min={0} max={MOST} step={1} value={power} onInput={setPower} text={(p) => whole(2 ** p)} />
        </Controls>
        <div class="timing" role="img" aria-label={`With ${tokens} tokens at once ${name} takes ${time(own.fetch)} to fetch and ${time(own.multiply)} to multiply, ${other} ${time(its.fetch)} and ${time(its.multiply)}`}>
          {([["fetch", name, own.fetch, "code"], ["multiply", name, own.multiply, "code"], ["fetch", other, its.fetch, "reference"], ["multiply", other, its.multiply, "reference"]] as const).map(
            ([what, whose, seconds, role], index) => (
              <div key={index} class="measure">
                <span>{whose}: {what}</span>
                <span class={`amount ${role}`} style={{ width: `${Math.max(0.5, (100 * seconds) / longest)}%` }} />
                <output>{time(seconds)}</output>
              </div>
            ),
          )}
        </div>
        <Readout
          items={[
            { label: `${name}: tokens per second`, value: short(rate(chip, way, tokens), 3), role: "code", id: "rate" },
            { label: "limited by", value: limit(own), id: "limit" },
            { label: `${other}: tokens per second`, value: short(rate(chip, beside, tokens), 3), role: "reference", id: "rate-beside" },
            { label: "limited by", value: limit(its), id: "limit-beside" },
            { label: "times as fast", value: short(gain, 3), id: "gain" },
          ]}
        />
        <Plot
          label={`Tokens per second by tokens at once: ${name} solid, ${other} dotted; both rise while memory limits them and are level where arithmetic does`}
          x={{ domain: [1, 2 ** MOST], kind: "log", ticks: [1, 8, 64, 512], text: whole, label: "tokens at once" }}
          y={{ domain: [low, high], kind: "log", label: "tokens per second", text: compact, ticks: decades(low, high) }}
          height={280}
          table={{
            title: "The rates, in numbers",
            columns: ["tokens at once", `${name}, tokens/s`, `${other}, tokens/s`],
            rows: Array.from({ length: MOST + 1 }, (_, k) => [whole(2 ** k), short(rate(chip, way, 2 ** k), 3), short(rate(chip, beside, 2 ** k), 3)]),
          }}
        >
          {({ x, y, height }) => (
            <>
              <line class="axis" x1={x(tokens)} x2={x(tokens)} y2={height} />
              <path class="stroke reference" d={path(steps.map((t) => [x(t), y(rate(chip, beside, t))]))} />
              <path class="stroke code" d={path(steps.map((t) => [x(t), y(rate(chip, way, t))]))} />
              <circle class="fill reference" cx={x(tokens)} cy={y(rate(chip, beside, tokens))} r={4} />
              <circle class="fill code" cx={x(tokens)} cy={y(rate(chip, way, tokens))} r={5} />
            </>
          )}
        </Plot>
      </Figure>
      <p>
        At{" "}
        <Scrub id="scrub" label="Tokens at once, as a power of two" value={power} min={0} max={MOST} step={1} onInput={setPower} text={(p) => `${whole(2 ** p)} ${p ? "tokens" : "token"}`} pixels={24} /> at once, {name} is{" "}
        {short(gain, 3)} times as fast as {other}. One token at a time is chatting; hundreds are a prompt being read, or many users at once. This picture is called a roofline: the slope is memory, the flat part
        is the multiplier, and the bend is at {way.break_even_tokens === null ? "an unknown place" : `${short(way.break_even_tokens, 3)} tokens`} for {name}.
      </p>
      <Journey way={way} chip={chip} />
      <Fewer chip={chip} />
      <Everything chip={chip} />
    </>
  );
}

/** What happens to one weight between memory and the sum. */
function Journey({ way, chip }: { way: Way; chip: Chip }) {
  const steps: [string, string][] = [
    ["stored", way.stored],
    ["fetched", way.loaded],
    ["becomes", way.converted_to],
    ["multiplied as", `${way.multiplied_as ?? "not known"}${way.unit ? `, on the ${way.unit} unit` : ""}${way.instruction ? `: ${way.instruction}` : ""}`],
    ["added up in", way.accumulated_in ?? "not known"],
    ["its scale", way.scaled],
  ];
  return (
    <>
      <h3>The way of one weight</h3>
      <p>
        Is a 4-bit model multiplied in 4 bits? Hardly ever. A chip multiplies <Term role="code">{way.format}</Term> natively only if it has an instruction that takes it. Otherwise each weight becomes something
        the chip does have, in registers, in the very moment it is used. That costs a little arithmetic and no memory.
      </p>
      <Figure title={`${way.format} on ${chip.device.name}: ${way.path}`} wide caption={`${way.headline}. How sure this is: the way ${way.verified.way}, the peak ${way.verified.peak}, the bandwidth ${way.verified.bandwidth}. bitwright explain ${way.format} prints the same, with sources.`}>
        <ol class="journey" data-value="journey">
          {steps.map(([what, how]) => (
            <li key={what}>
              <b>{what}</b> {how}
            </li>
          ))}
        </ol>
        {way.chip_could && (
          <p class="aside">
            The chip could do more: it multiplies {way.chip_could.format} natively ({way.chip_could.instruction}), if activations had that format too. No engine known here uses it for these weights.
          </p>
        )}
      </Figure>
    </>
  );
}

/** The powers of ten from `low` to `high`; halves of them too where there are few. */
function decades(low: number, high: number): number[] {
  const powers = Array.from({ length: 24 }, (_, k) => 10 ** (k - 6));
  const found = powers.filter((p) => p >= low && p <= high);
  return found.length > 1 ? found : powers.flatMap((p) => [p, 2 * p, 5 * p]).filter((p) => p >= low && p <= high);
}

/** All recipes by their bits: fewer are not always faster. */
function Fewer({ chip }: { chip: Chip }) {
  const names = chip.models.map((m) => m.name);
  const [name, setName] = useParam("model", names[names.length - 1] ?? "", names);
  const [phase, setPhase] = useParam<"decode" | "prefill">("phase", "decode", ["decode", "prefill"]);
  const model = chip.models.find((m) => m.name === name);
  if (!model) return <p class="aside">{chip.without_speeds}</p>;
  const rows = model.recipes.map((r) => ({ ...r, speed: r[phase] }));
  const most = Math.max(...rows.map((r) => r.speed.high));
  const alone = (bits: number) => chip.device.bandwidth / ((bits / 8) * model.weights);
  const bits = Array.from({ length: 66 }, (_, k) => 2.4 * 2 ** (k / 22)).filter((b) => alone(b) <= most * 1.15);
  const odd = rows.flatMap((a) => rows.filter((b) => a.bits_per_weight < b.bits_per_weight * 0.97 && a.speed.tokens_per_second < b.speed.tokens_per_second * 0.97).map((b) => ({ a, b })));
  const worst = odd.sort((p, q) => q.b.speed.tokens_per_second / q.a.speed.tokens_per_second - p.b.speed.tokens_per_second / p.a.speed.tokens_per_second)[0];
  const wide = { decode: "writing, one token at a time", prefill: "reading a prompt of 512 tokens" }[phase];
  return (
    <>
      <h3>Fewer bits, but slower?</h3>
      <p>
        The fewer the bits, the more work it is to take them apart. Four bits are a mask and a shift. Below three, weights are points of a grid that must be looked up, with signs that are stored elsewhere. When
        unpacking takes longer than fetching, fewer bits stop being faster, and can be slower.
      </p>
      <Figure
        title={`Bits and speed, ${wide}`}
        wide
        caption={`${model.name} on ${chip.device.name}. ${chip.measured ? "From the rates that bitwright's kernels reach on this machine." : "What llama.cpp would reach, by bitwright's speed model; the bars are where it lands nine times in ten."}${phase === "decode" && bits.length ? " The dotted line is the memory by itself." : ""}`}
      >
        <Controls>
          <Choice id="phase" label="Speed of" value={phase} onChange={setPhase} options={[{ value: "decode", label: "writing" }, { value: "prefill", label: "reading a prompt" }]} />
          <Select id="model" label="Model" value={name} onChange={setName} options={names.map((n) => ({ value: n, label: n }))} />
        </Controls>
        <Plot
          label={`Tokens per second of ${rows.length} recipes by bits per weight, from ${rows.map((r) => `${r.recipe} ${short(r.speed.tokens_per_second, 3)}`).join(", ")}`}
          x={{ domain: [2.4, 18], kind: "log", label: "bits per weight", ticks: [3, 4, 5, 6, 8, 12, 16] }}
          y={{ domain: [0, most * 1.08], label: "tokens per second", ticks: 4 }}
          height={300}
          table={{ title: "The recipes, in numbers", columns: ["recipe", "bits per weight", "tokens/s", "from", "to"], rows: rows.map((r) => [r.recipe, r.bits_per_weight, short(r.speed.tokens_per_second, 3), short(r.speed.low, 3), short(r.speed.high, 3)]) }}
        >
          {({ x, y, width }) => (
            <>
              {phase === "decode" && <path class="stroke reference" d={path(bits.map((b) => [x(b), y(alone(b))]))} />}
              {rows.map((r) => (
                <g key={r.recipe}>
                  <line class="stroke error" x1={x(r.bits_per_weight)} x2={x(r.bits_per_weight)} y1={y(r.speed.low)} y2={y(r.speed.high)} style={{ strokeWidth: 1 }} />
                  <circle class="fill code" cx={x(r.bits_per_weight)} cy={y(r.speed.tokens_per_second)} r={4} />
                </g>
              ))}
              <Labels labels={spread(rows.map((r) => ({ text: r.recipe, x: x(r.bits_per_weight), y: y(r.speed.tokens_per_second) })), width)} />
            </>
          )}
        </Plot>
        <p class="field" data-value="odd">
          {worst
            ? `${worst.a.recipe} has ${percent(1 - worst.a.bits_per_weight / worst.b.bits_per_weight, 0)} fewer bits than ${worst.b.recipe}, and is ${percent(1 - worst.a.speed.tokens_per_second / worst.b.speed.tokens_per_second, 0)} slower.`
            : "Here fewer bits are never clearly slower."}
        </p>
      </Figure>
    </>
  );
}

function Everything({ chip }: { chip: Chip }) {
  return (
    <Figure title={`Every format on ${chip.device.name}`} wide caption="Native: multiplied as it is stored. Converted: becomes a wider float first. int8: codes and activations are multiplied as bytes.">
      <DataTable
        title="Every format"
        columns={["format", "bits", "how", "multiplied as", "one token at a time", "bend at"]}
        rows={chip.formats.map((f) => [
          f.format,
          short(f.bits_per_weight),
          f.path,
          f.multiplied_as ?? "not known",
          f.stored_bytes_per_second ? `${short((8 * f.stored_bytes_per_second) / f.bits_per_weight / 1e9, 3)} G weights/s` : "not known",
          f.break_even_tokens === null ? "not known" : `${short(f.break_even_tokens, 3)} tokens`,
        ])}
      />
    </Figure>
  );
}
