/** Bits: what a format can say. Click its bits, walk through its numbers, and put two formats side by side. */
import { useMemo } from "preact/hooks";
import { count, decode, encode, fields, next, numbers, round, type Element } from "../arithmetic/elements";
import { Chapter, Controls, Figure, Readout, Term } from "../components/chapter";
import { Button, Choice, Scrub, Select, Slider } from "../components/controls";
import { path, Plot } from "../components/plot";
import { Data } from "../data";
import { exact, percent, short, whole } from "../numbers";
import { useParam } from "../state";

const ROLES = { sign: "reference", exponent: "scale", mantissa: "code", integer: "code" } as const;
const MOST = 8; // bits of a format whose numbers are drawn one by one

export default function Bits() {
  return (
    <Chapter title="Bits" lead="A model is numbers, and a number is a row of switches. Fewer switches, smaller model: but what can a short row still say?">
      <Data<{ formats: Element[] }> name="elements">{({ formats }) => <Body formats={formats} />}</Data>
    </Chapter>
  );
}

function Body({ formats }: { formats: Element[] }) {
  const names = formats.map((f) => f.name);
  const [name, setName] = useParam("format", "float8_e4m3fn", names);
  const [besideName, setBeside] = useParam("beside", "bfloat16", names);
  const [value, setValue] = useParam("value", 0.1);
  const [bits, setBits] = useParam("code", ""); // where a number does not tell the code: NaN, −0
  const f = formats.find((one) => one.name === name)!;
  const beside = formats.find((one) => one.name === besideName)!;
  const given = /^\d+$/.test(bits) ? Number(bits) : NaN;
  const code = given < count(f) ? given : encode(f, value);
  const set = (next: number) => {
    const number = decode(f, next);
    const told = Number.isFinite(number) && !Object.is(number, -0) && encode(f, number) === next;
    setBits(told ? "" : String(next));
    if (told) setValue(number);
  };
  const enter = (number: number) => (setBits(""), setValue(number));
  return (
    <>
      <p>
        A floating-point number is written as in science: digits and a power. One bit is the <Term role="reference">sign</Term>. Some are the{" "}
        <Term role="scale">exponent</Term>, which says how large the number is. The rest are the <Term role="code">mantissa</Term>, its digits. Click
        a bit and watch what it is worth.
      </p>
      <Figure
        title="One number, bit by bit"
        wide
        caption={
          <>
            {f.summary[0].toUpperCase() + f.summary.slice(1)}. Its {whole(count(f))} codes are all there is: every weight stored in this format is one of them.
          </>
        }
      >
        <Controls>
          <Select id="format" label="Format" options={formats.map(option)} value={name} onChange={(chosen) => (setName(chosen), setBits(""))} />
          <Specials f={f} set={set} />
        </Controls>
        <Switches f={f} code={code} set={set} />
        <Formula f={f} code={code} />
        <Neighbours f={f} code={code} set={set} />
      </Figure>
      <p>
        Half of all codes are spent on numbers below zero, and most formats have two zeros. The smaller a number, the closer its neighbours: the gap
        doubles whenever the exponent rises by one. Integers are different: their gaps are all the same.
      </p>
      <Line f={f} value={decode(f, code)} enter={enter} />
      <Histogram f={f} />
      <h3>Two formats side by side</h3>
      <p>
        The same number, <Scrub id="value" label="The number to write" value={value} min={-8} max={8} step={0.01} onInput={enter} text={(v) => short(v, 5)} />, in
        two formats. Drag it, and see what each can and cannot say.
      </p>
      <Figure title="What is left of the number" wide>
        <Controls>
          <Select id="beside" label="Compare with" options={formats.map(option)} value={besideName} onChange={setBeside} />
        </Controls>
        <div class="pair">
          {[f, beside].map((one, index) => (
            <Written key={index} f={one} value={value} />
          ))}
        </div>
      </Figure>
      <Sine f={f} beside={beside} />
    </>
  );
}

const option = (f: Element) => ({ value: f.name, label: f.name.startsWith("int") ? `${f.name}, two's complement` : f.name });

function Switches({ f, code, set }: { f: Element; code: number; set: (code: number) => void }) {
  const kinds = fields(f);
  return (
    <div class="switches" role="group" aria-label={`The ${f.bits} bits, the highest first`}>
      {kinds.map((kind, index) => {
        const place = f.bits - 1 - index;
        const on = Math.floor(code / 2 ** place) % 2 === 1;
        const starts = kinds[index - 1] !== kind;
        return (
          <button
            key={place}
            type="button"
            class={`${ROLES[kind]}${starts ? " starts" : ""}`}
            aria-pressed={on}
            aria-label={`${on ? 1 : 0}: ${kind}, bit ${place}`}
            data-bit={place}
            onClick={() => set(on ? code - 2 ** place : code + 2 ** place)}
          >
            {on ? 1 : 0}
          </button>
        );
      })}
    </div>
  );
}

function Formula({ f, code }: { f: Element; code: number }) {
  const value = decode(f, code);
  const shown = <output class="value" data-value="decoded">{exact(value)}</output>;
  if (f.kind === "integer") return <p class="formula">{shown}</p>;
  if (f.kind === "exponent" || !Number.isFinite(value)) {
    const how = Number.isFinite(value) ? <>2<sup>{code} − {f.bias}</sup> = </> : "these codes are no numbers: ";
    return <p class="formula">{how}{shown}</p>;
  }
  const sign = Math.floor(code / 2 ** (f.bits - 1));
  const m = code % 2 ** f.mantissa;
  const e = Math.floor(code / 2 ** f.mantissa) % 2 ** f.exponent;
  return (
    <p class="formula">
      <span class="fg-reference">{sign ? "−1" : "1"}</span> × <span class="fg-scale">2<sup>{e || 1} − {f.bias}</sup></span> ×{" "}
      <span class="fg-code">({e ? "1 + " : ""}{whole(m)} / {whole(2 ** f.mantissa)})</span> = {shown}
    </p>
  );
}

function Neighbours({ f, code, set }: { f: Element; code: number; set: (code: number) => void }) {
  const [below, above] = [next(f, code, -1), next(f, code, 1)];
  const [value, up] = [decode(f, code), decode(f, above)];
  const gap = above !== code && Number.isFinite(up) ? up - value : NaN;
  return (
    <>
      <Controls>
        <Button id="previous" disabled={below === code} onClick={() => set(below)}>← next smaller</Button>
        <Button id="next" disabled={above === code} onClick={() => set(above)}>next larger →</Button>
      </Controls>
      <Readout
        items={[
          { label: "stored integer", value: `${whole(code)} = 0x${code.toString(16).padStart(Math.ceil(f.bits / 4), "0")}`, role: "code", id: "code" },
          { label: "next larger number", value: above === code ? "none" : exact(up), id: "above" },
          { label: "gap", value: Number.isNaN(gap) ? "none" : short(gap), role: "scale", id: "gap" },
        ]}
      />
    </>
  );
}

function Specials({ f, set }: { f: Element; set: (code: number) => void }) {
  const top = count(f) - 1;
  const named: [string, number][] =
    f.kind === "integer"
      ? [["zero", 0], ["largest", count(f) / 2 - 1], ["smallest", count(f) / 2]]
      : f.kind === "exponent"
        ? [["smallest", 0], ["one", f.bias], ["largest", top - 1], ["NaN", top]]
        : [
            ["zero", 0],
            ["−0", count(f) / 2],
            ["smallest above zero", 1],
            ["one", encode(f, 1)],
            ["largest", f.special === "ieee" ? encode(f, Infinity) - 1 : f.special === "fn" ? count(f) / 2 - 2 : count(f) / 2 - 1],
            ...(f.special === "ieee" ? ([["infinity", encode(f, Infinity)]] as [string, number][]) : []),
            ...(f.special ? ([["NaN", encode(f, NaN)]] as [string, number][]) : []),
          ];
  return (
    <div class="chips" role="group" aria-label="Special values">
      {named.map(([label, code]) => (
        <Button key={label} onClick={() => set(code)}>{label}</Button>
      ))}
    </div>
  );
}

/** Every number of a small format as a tick; of a larger one the part of a sheet that a screen can show. */
function Line({ f, value, enter }: { f: Element; value: number; enter: (value: number) => void }) {
  const [reach, setReach] = useParam("reach", 0);
  const all = useMemo(() => (f.bits <= MOST ? numbers(f) : new Float64Array()), [f]);
  if (f.bits > MOST) {
    return (
      <p class="aside">
        {f.name} has {whole(count(f))} codes, too many to draw one by one. In a format of up to {MOST} bits you can see them all.
      </p>
    );
  }
  const largest = all[all.length - 1];
  const span = f.kind === "exponent" ? 8 : Math.abs(largest) / 2 ** reach;
  const low = f.kind === "exponent" ? 0 : -span;
  const seen = Array.from(all).filter((one) => one >= low && one <= span);
  return (
    <Figure
      title={`All numbers of ${f.name}`}
      wide
      caption={`${whole(seen.length)} of ${whole(all.length)} numbers lie between ${short(low)} and ${short(span)}. Click the line to take the nearest.`}
    >
      <Controls>
        <Slider id="reach" label="Zoom" min={0} max={12} step={1} value={reach} onInput={setReach} text={(z) => `${whole(2 ** z)}×`} />
      </Controls>
      <Plot
        label={`A number line from ${short(low)} to ${short(span)} with a tick at each of ${seen.length} numbers`}
        x={{ domain: [low, span] }}
        height={96}
        table={{ title: "The numbers", columns: ["code", "number"], rows: seen.map((one) => [whole(encode(f, one)), exact(one)]) }}
      >
        {({ x, invertX, width, height }) => (
          <>
            {seen.map((one) => (
              <line key={one} class="stroke code" x1={x(one)} x2={x(one)} y1={8} y2={height} style={{ strokeWidth: 1 }} />
            ))}
            {value >= low && value <= span && <path class="fill code" d={`M${x(value)},${height}l-6,-12h12z`} />}
            <rect
              width={width}
              height={height}
              fill="transparent"
              style={{ cursor: "crosshair" }}
              onClick={(event) => enter(round(f, invertX(event.clientX - event.currentTarget.getBoundingClientRect().left)))}
            />
          </>
        )}
      </Plot>
    </Figure>
  );
}

const BINS = 48;

/** How many numbers lie in each part of the line. */
function Histogram({ f }: { f: Element }) {
  const [kind, setKind] = useParam<"linear" | "powers">("bins", "powers", ["linear", "powers"]);
  const all = useMemo(() => (f.bits <= 16 ? numbers(f) : new Float64Array()), [f]);
  if (!all.length || f.kind === "integer") return null;
  const positive = all.filter((one) => one > 0);
  const logs = [Math.floor(Math.log2(positive[0])), Math.floor(Math.log2(positive[positive.length - 1])) + 1];
  const powers = kind === "powers";
  const step = powers ? Math.ceil((logs[1] - logs[0]) / BINS) : 0; // powers of two in a bar
  const bins = powers ? Math.ceil((logs[1] - logs[0]) / step) : BINS;
  const [low, high] = powers ? [logs[1] - bins * step, logs[1]] : [0, positive[positive.length - 1]];
  const counts = Array(bins).fill(0);
  for (const one of positive) {
    const at = powers ? Math.floor(Math.log2(one)) : one;
    counts[Math.min(bins - 1, Math.floor(((at - low) / (high - low)) * bins))]++;
  }
  const most = Math.max(...counts);
  const edge = (index: number) => low + ((high - low) * index) / bins;
  const text = (at: number) => (powers ? `2${raised(at)}` : short(at));
  const half = positive.filter((one) => one <= 1).length / positive.length;
  return (
    <Figure
      title="Where its numbers are"
      wide
      caption={`${percent(half, 0)} of the positive numbers are not above 1. Counted by powers of two the bars are level; on a plain line nearly all numbers crowd next to zero. Weights crowd there too.`}
    >
      <Controls>
        <Choice id="bins" label="Width of a bar" options={[{ value: "powers", label: powers && step > 1 ? `${step} powers of two` : "a power of two" }, { value: "linear", label: "the same everywhere" }]} value={kind} onChange={setKind} />
      </Controls>
      <Plot
        label={`Histogram: how many positive numbers of ${f.name} lie in each of ${bins} ranges`}
        x={{ domain: [low, high], text, label: "number" }}
        y={{ domain: [0, most], label: "how many numbers" }}
        table={{ title: "The counts", columns: ["from", "to", "numbers"], rows: counts.map((n, index) => [text(edge(index)), text(edge(index + 1)), n]) }}
      >
        {({ x, y, height }) =>
          counts.map((n, index) => (
            <rect key={index} class="fill code" x={x(edge(index)) + 0.5} width={Math.max(0.5, x(edge(index + 1)) - x(edge(index)) - 1)} y={y(n)} height={height - y(n)} />
          ))
        }
      </Plot>
    </Figure>
  );
}

function raised(power: number): string {
  return (power < 0 ? "⁻" : "") + String(Math.abs(Math.round(power))).replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(d)]);
}

function Written({ f, value }: { f: Element; value: number }) {
  const got = round(f, value);
  const error = got - value;
  return (
    <section aria-label={f.name}>
      <h3>{f.name}</h3>
      <p class="bitstring" aria-label="Bits">
        {fields(f).map((kind, index) => (
          <span key={index} class={`fg-${ROLES[kind]}`}>{Math.floor(encode(f, value) / 2 ** (f.bits - 1 - index)) % 2}</span>
        ))}
      </p>
      <Readout
        items={[
          { label: "reads back as", value: exact(got), role: "code", id: `got-${f.name}` },
          { label: "error", value: short(error), role: "error", id: `error-${f.name}` },
          { label: "of the number", value: value ? percent(Math.abs(error / value), 2) : "0%", role: "error" },
        ]}
      />
    </section>
  );
}

/** `count` numbers from `low` to `high`. */
const range = (low: number, high: number, count: number) => Array.from({ length: count }, (_, n) => low + ((high - low) * n) / (count - 1));

/** A sine wave whose every point was rounded. */
function Sine({ f, beside }: { f: Element; beside: Element }) {
  const [zoom, setZoom] = useParam("zoom", 0);
  const [at, setAt] = useParam("at", 0.25);
  const factor = 10 ** zoom;
  const centre = 2 * Math.PI * at;
  const wide = Math.PI / factor;
  const tall = 1.15 / factor;
  const middle = zoom ? Math.sin(centre) : 0;
  const points = (width: number, one?: Element): [number, number][] =>
    range(centre - wide, centre + wide, Math.max(2, 2 * Math.round(width))).map((x) => [x, one ? round(one, Math.sin(x)) : Math.sin(x)]);
  const worst = (one: Element) => Math.max(...points(400, one).map(([x, y]) => Math.abs(y - Math.sin(x))));
  return (
    <Figure
      title="A wave, drawn with these numbers"
      wide
      caption="The dotted line is the wave itself. Every format draws it well from afar. Go closer: the steps are the gaps between neighbours, small near zero and large near the crest."
    >
      <Controls>
        <Slider id="zoom" label="Zoom" min={0} max={3} step={0.05} value={zoom} onInput={setZoom} text={(z) => `${short(10 ** z, 3)}×`} />
        <Slider id="at" label="Where" min={0} max={1} step={0.005} value={at} onInput={setAt} text={(a) => `${Math.round(360 * a)}°`} />
      </Controls>
      <Plot
        label={`A sine wave rounded to ${f.name} and to ${beside.name}, ${short(factor, 3)} times enlarged`}
        x={{ domain: [centre - wide, centre + wide], label: "angle", ticks: [] }}
        y={{ domain: [middle - tall, middle + tall], ticks: 5 }}
        height={300}
      >
        {({ x, y, width }) => (
          <>
            <path class="stroke error" d={path(points(width, beside).map(([a, b]) => [x(a), y(b)]))} />
            <path class="stroke code" d={path(points(width, f).map(([a, b]) => [x(a), y(b)]))} />
            <path class="stroke reference" d={path(points(width).map(([a, b]) => [x(a), y(b)]))} />
          </>
        )}
      </Plot>
      <Readout
        items={[
          { label: `${f.name}, solid: largest error here`, value: short(worst(f)), role: "code", id: "worst" },
          { label: `${beside.name}, dashed: largest error here`, value: short(worst(beside)), role: "error", id: "worst-beside" },
        ]}
      />
    </Figure>
  );
}
