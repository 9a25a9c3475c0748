/** Anatomy of a block: which bit serves which weight, on a real block of the model. */
import { useMemo, useState } from "preact/hooks";
import { Cells } from "../components/cells";
import { Chapter, Controls, Figure, Readout, Term } from "../components/chapter";
import { Button, Choice, Select, Toggle } from "../components/controls";
import { path, Plot } from "../components/plot";
import { Data } from "../data";
import { exact, percent, short, whole } from "../numbers";
import { useParam } from "../state";

interface Shown {
  formats: { name: string; summary: string; bits_per_weight: number; own: boolean }[];
  first: string | null;
}

interface Field {
  name: string;
  type: string;
  offset: number;
  bytes: number;
  layout: string;
  doc: string;
}

interface Use {
  role: "code" | "scale" | "min" | "none";
  places: number[]; // weights of a code, groups of a scale or min
}

interface Block {
  name: string;
  row: number;
  column: number;
  bytes: number[];
  original: number[] | null;
  weights: number[];
  numbers: number[];
  scale: number[];
  min: number[] | null;
  letters: Record<string, number | number[]>;
  flips: number[][];
}

interface Anatomy {
  format: { name: string; summary: string; block_size: number; block_bytes: number; bits_per_weight: number; groups: number; fields: Field[]; formula: string };
  tensor: string;
  own: boolean;
  uses: Use[];
  formula: string;
  blocks: Block[];
}

const KIND = { typical: "a typical one", outlier: "the one with the largest weight" } as Record<string, string>;

export default function AnatomyChapter() {
  return (
    <Chapter title="Anatomy of a block" lead="A quantized file is blocks, and a block is a few dozen bytes. Every bit in it has one job. Here is a block of your model; touch it and see.">
      <Data<Shown> name="anatomies">
        {(shown) =>
          shown.first ? <Body shown={shown} first={shown.first} /> : <p class="problem">None of this model's matrices has rows that a block format divides evenly, so there is no block to show.</p>
        }
      </Data>
    </Chapter>
  );
}

function Body({ shown, first }: { shown: Shown; first: string }) {
  const names = shown.formats.map((f) => f.name);
  const [name, setName] = useParam("format", first, names);
  const [, setAt] = useParam("at", "");
  const chosen = shown.formats.find((f) => f.name === name)!;
  return (
    <>
      <p>
        A block holds the <Term role="code">codes</Term> of its weights, small integers of a few bits each. To turn codes back into weights it needs at least one{" "}
        <Term role="scale">scale</Term>: the size of one step. Some formats add a min, the weight that code 0 stands for.
      </p>
      <p>
        Codes come packed, several to a byte, and often not in the order you would expect: neighbours in a byte may be weights that are far apart, because that is what a processor takes apart fastest.
        Point at a byte and its weights light up. Point at a weight, and every bit that it needs does.
      </p>
      <Controls>
        <Select
          id="format"
          label="Format"
          value={name}
          onChange={(next) => (setAt(""), setName(next))}
          options={shown.formats.map((f) => ({ value: f.name, label: `${f.name}, ${short(f.bits_per_weight)} bits${f.own ? ", in your file" : ""}` }))}
        />
      </Controls>
      <Data<Anatomy> key={name} name={`anatomy/${name}`} wait={`Taking ${name} apart, bit by bit`}>
        {(found) => <Taken key={name} found={found} summary={chosen.summary} />}
      </Data>
    </>
  );
}

/** "weight 7", "weights 32 to 63", "all 256 weights". */
function weightsOf(found: Anatomy, use: Use): number[] {
  const size = found.format.block_size / found.format.groups;
  if (use.role === "code") return use.places;
  return use.places.flatMap((group) => Array.from({ length: size }, (_, k) => group * size + k));
}

function spelled(weights: number[], all: number): string {
  if (weights.length === all) return `all ${whole(all)} weights`;
  if (weights.length === 1) return `weight ${weights[0]}`;
  const [low, high] = [weights[0], weights[weights.length - 1]];
  if (high - low === weights.length - 1) return `weights ${low} to ${high}`;
  return `weights ${weights.slice(0, 6).join(", ")}${weights.length > 6 ? " …" : ""}`;
}

const WHAT = { code: "the code of", scale: "the scale of", min: "the min of", none: "nothing" };
const look = (role: Use["role"]) => (role === "min" ? "scale min" : role === "none" ? "reference" : role);

interface Place {
  byte: number; // -1: a weight is chosen
  bit: number; // -1: the whole byte
  weight: number;
}

function parse(text: string, found: Anatomy): Place {
  const { block_size, block_bytes } = found.format;
  const weight = /^w(\d+)$/.exec(text);
  if (weight && Number(weight[1]) < block_size) return { byte: -1, bit: -1, weight: Number(weight[1]) };
  const bits = /^(\d+)(?:\.([0-7]))?$/.exec(text);
  if (bits && Number(bits[1]) < block_bytes) return { byte: Number(bits[1]), bit: bits[2] ? Number(bits[2]) : -1, weight: -1 };
  const first = found.uses.findIndex((use) => use.role === "code");
  return { byte: first >> 3, bit: -1, weight: -1 };
}

function Taken({ found, summary }: { found: Anatomy; summary: string }) {
  const kinds = found.blocks.map((b) => b.name);
  const [kind, setKind] = useParam("block", kinds[0], kinds);
  const [at, setAt] = useParam("at", "");
  const [flip, setFlip] = useParam("flip", false);
  const [hover, setHover] = useState<Place | null>(null);
  const block = found.blocks.find((b) => b.name === kind)!;
  const { format, uses } = found;
  const all = format.block_size;
  const picked = parse(at, found);
  const seen = hover ?? picked;
  const served = useMemo(() => uses.map((use) => weightsOf(found, use)), [found]);
  const serving = (weight: number) => uses.flatMap((_, bit) => (served[bit].includes(weight) ? [bit] : []));
  const bits = seen.byte < 0 ? serving(seen.weight) : seen.bit < 0 ? [...Array(8).keys()].map((k) => seen.byte * 8 + k) : [seen.byte * 8 + seen.bit];
  const lit = new Set(bits);
  const weights = new Set(seen.byte < 0 ? [seen.weight] : bits.flatMap((bit) => served[bit]));
  const weight = seen.byte < 0 ? seen.weight : (served[bits.find((bit) => served[bit].length)!] ?? [0])[0];
  const first = (weight: number) => serving(weight).find((bit) => uses[bit].role === "code") ?? 0;
  const byte = picked.byte < 0 ? first(picked.weight) >> 3 : picked.byte;
  const one = picked.byte >= 0 && picked.bit >= 0 ? picked.byte * 8 + picked.bit : -1;
  const after = flip && one >= 0 ? flipped(found, block, one) : null;
  const columns = Math.min(16, all);
  const scales = bits.every((bit) => uses[bit].role !== "code"); // weights light up in the colour of what serves them
  return (
    <>
      <Figure
        title={`A block of ${format.name}: ${format.block_bytes} bytes, ${whole(all)} weights`}
        wide
        caption={
          <>
            {summary[0].toUpperCase() + summary.slice(1)}. Row {block.row}, columns {block.column} to {block.column + all - 1} of {found.tensor}.{" "}
            {found.own ? "These are the bytes of your file." : "Your file stores these weights in another format; they were brought into this one."} What a bit serves was found by flipping it and decoding the block again.
          </>
        }
      >
        <Controls>
          <Choice id="block" label="Block" value={kind} onChange={setKind} options={kinds.map((k) => ({ value: k, label: KIND[k] ?? k }))} />
        </Controls>
        <div class="anatomy">
          <div>
            {format.fields.map((field) => (
              <section key={field.name} aria-label={field.name}>
                <p class="field"><b>{field.name}</b> {field.bytes} {field.bytes === 1 ? "byte" : "bytes"}: {field.doc}</p>
                <Cells
                  id={`field-${field.name}`}
                  label={`The bytes of ${field.name}`}
                  count={field.bytes}
                  columns={16}
                  current={byte >= field.offset && byte < field.offset + field.bytes ? byte - field.offset : -1}
                  onPick={(index) => setAt(String(field.offset + index))}
                  onHover={(index) => setHover(index === null ? null : { byte: field.offset + index, bit: -1, weight: -1 })}
                  name={(index) => `byte ${field.offset + index}: ${hex(block.bytes[field.offset + index])}`}
                  look={(index) => `${look(roleOf(uses, field.offset + index))}${touched(lit, field.offset + index) ? " lit" : ""}`}
                >
                  {(index) => hex(block.bytes[field.offset + index])}
                </Cells>
              </section>
            ))}
          </div>
          <div>
            <p class="field"><b>weights</b>: the number that each code stands for</p>
            <Cells
              id="weights"
              label="The weights of the block"
              count={all}
              columns={columns}
              current={picked.weight}
              onPick={(index) => setAt(`w${index}`)}
              onHover={(index) => setHover(index === null ? null : { byte: -1, bit: -1, weight: index })}
              name={(index) => `weight ${index}: ${block.numbers[index]}`}
              look={(index) => (weights.has(index) ? `${scales ? "scale" : "code"} lit` : "code")}
            >
              {(index) => String(block.numbers[index]).replace("-", "−")}
            </Cells>
          </div>
        </div>
        <Bits found={found} block={block} byte={byte} bit={picked.byte >= 0 ? picked.bit : -1} lit={lit} served={served} setAt={setAt} setHover={setHover} />
        <Filled found={found} block={block} weight={weight} />
      </Figure>
      <p>
        Not all bits are equal. One wrong bit of a code moves one weight, or the few that share a code. One wrong bit of a scale moves every weight under it. Pick a bit above, then flip it.
      </p>
      <Figure title="The weights, and one wrong bit" wide caption={after ? "Solid: the block as it is. Dashed: with the bit flipped." : "The line is what the block decodes to. Choose a bit and flip it."}>
        <Controls>
          <Toggle id="flip" label="Flip the chosen bit" value={flip} onChange={setFlip} />
          <Button id="worst-code" onClick={() => (setAt(worst(found, block, "code")), setFlip(true))}>a bad bit of a code</Button>
          <Button id="worst-scale" onClick={() => (setAt(worst(found, block, "scale")), setFlip(true))}>a bad bit of a scale</Button>
        </Controls>
        <Curves block={block} after={after} all={all} />
        <Harm block={block} after={after} chosen={one} />
      </Figure>
      <Share found={found} />
    </>
  );
}

const hex = (byte: number) => byte.toString(16).padStart(2, "0");
const touched = (lit: Set<number>, byte: number) => [...Array(8).keys()].some((bit) => lit.has(byte * 8 + bit));

/** The role of a byte: that of most of its bits. */
function roleOf(uses: Use[], byte: number): Use["role"] {
  const roles = uses.slice(byte * 8, byte * 8 + 8).map((use) => use.role);
  return roles.sort((a, b) => roles.filter((r) => r === b).length - roles.filter((r) => r === a).length)[0];
}

/** The bit of that role that does most harm while the weights stay within eight times the block's largest. */
function worst(found: Anatomy, block: Block, role: Use["role"]): string {
  const room = 8 * Math.max(...block.weights.map(Math.abs));
  let [at, most] = [found.uses.findIndex((use) => use.role === role), 0];
  found.uses.forEach((use, bit) => {
    if (use.role !== role) return;
    const after = flipped(found, block, bit);
    const harm = after.reduce((sum, value, index) => sum + Math.abs(value - block.weights[index]), 0);
    if (harm > most && after.every((value) => Math.abs(value) <= room)) [at, most] = [bit, harm];
  });
  return `${at >> 3}.${at & 7}`;
}

interface BitsProps {
  found: Anatomy;
  block: Block;
  byte: number;
  bit: number;
  lit: Set<number>;
  served: number[][];
  setAt: (at: string) => void;
  setHover: (place: Place | null) => void;
}

/** The eight bits of the chosen byte, and what each run of them is for. */
function Bits({ found, block, byte, bit, lit, served, setAt, setHover }: BitsProps) {
  const runs: { low: number; high: number; text: string; role: Use["role"] }[] = [];
  for (let k = 0; k < 8; k++) {
    const use = found.uses[byte * 8 + k];
    const text = use.role === "none" ? "nothing" : `${WHAT[use.role]} ${spelled(served[byte * 8 + k], found.format.block_size)}`;
    if (runs.length && runs[runs.length - 1].text === text) runs[runs.length - 1].high = k;
    else runs.push({ low: k, high: k, text, role: use.role });
  }
  return (
    <div class="byte">
      <p class="field">
        <b>Byte {byte}</b>, its highest bit first
      </p>
      <Cells
        id="bits"
        label={`The bits of byte ${byte}`}
        count={8}
        columns={8}
        current={bit < 0 ? -1 : 7 - bit}
        onPick={(index) => setAt(`${byte}.${7 - index}`)}
        onHover={(index) => setHover(index === null ? null : { byte, bit: 7 - index, weight: -1 })}
        name={(index) => `bit ${7 - index} is ${(block.bytes[byte] >> (7 - index)) & 1}`}
        look={(index) => `${look(found.uses[byte * 8 + 7 - index].role)}${lit.has(byte * 8 + 7 - index) ? " lit" : ""}`}
      >
        {(index) => (block.bytes[byte] >> (7 - index)) & 1}
      </Cells>
      <ul data-value="serves">
        {runs.map(({ low, high, text, role }) => (
          <li key={low} class={role === "code" ? "fg-code" : role === "none" ? "fg-reference" : "fg-scale"}>
            {low === high ? `bit ${low}` : `bits ${low} to ${high}`}: {text}
          </li>
        ))}
      </ul>
    </div>
  );
}

const ROLE: Record<string, string> = { q: "code", code: "code", number: "code", point: "code" };
const NAMES: Record<string, string> = { number: "table[q]", point: "point" };

/** The formula of the format for one weight, in letters and in numbers. */
function Filled({ found, block, weight }: { found: Anatomy; block: Block; weight: number }) {
  const parts = found.formula.split(/\{(\w+)\}/);
  const number = (letter: string) => {
    const values = block.letters[letter];
    return Array.isArray(values) ? values[Math.floor((weight * values.length) / found.format.block_size)] : values;
  };
  const sign = (text: string) => text.replaceAll("*", "×").replaceAll("-", "−");
  const shown = (fill: (letter: string) => string) =>
    parts.map((part, index) => (index % 2 ? <span key={index} class={`fg-${ROLE[part] ?? "scale"}`}>{fill(part)}</span> : sign(part)));
  const inNumbers = (letter: string) => {
    const value = number(letter);
    return value < 0 ? `(${exact(value)})` : exact(value);
  };
  const original = block.original?.[weight];
  return (
    <>
      <p class="formula" data-value="filled">
        weight {weight} = {shown((letter) => NAMES[letter] ?? letter)}
        <br />= {shown(inNumbers)}
        <br />= <output class="value" data-value="weight">{exact(block.weights[weight])}</output>
      </p>
      {original !== undefined && (
        <Readout
          items={[
            { label: "in your file", value: exact(original), role: "reference", id: "original" },
            { label: "error", value: short(block.weights[weight] - original), role: "error" },
          ]}
        />
      )}
    </>
  );
}

/** The block's weights with one bit flipped, as Python decodes them. */
function flipped(found: Anatomy, block: Block, bit: number): number[] {
  const { role, places } = found.uses[bit];
  const [numbers, scale, min] = [[...block.numbers], [...block.scale], block.min && [...block.min]];
  const target = role === "code" ? numbers : role === "scale" ? scale : min;
  if (target && role !== "none") places.forEach((place, k) => (target[place] = block.flips[bit][k] ?? NaN));
  return numbers.map((number, index) => {
    const group = Math.floor((index * scale.length) / numbers.length);
    const product = Math.fround(scale[group] * number);
    return min ? Math.fround(product + min[group]) : product;
  });
}

function Curves({ block, after, all }: { block: Block; after: number[] | null; all: number }) {
  const finite = [...block.weights, ...(after ?? [])].filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  return (
    <Plot
      label={`The ${all} weights of the block${after ? ", and what they would be with one bit flipped" : ""}`}
      x={{ domain: [0, all - 1], label: "weight" }}
      y={{ domain: [low, high === low ? low + 1 : high], label: "value" }}
      height={220}
      table={{
        title: "The weights",
        columns: ["weight", "value", ...(after ? ["with the bit flipped"] : [])],
        rows: block.weights.map((value, index) => [String(index), exact(value), ...(after ? [exact(after[index])] : [])]),
      }}
    >
      {({ x, y }) => (
        <>
          {after && <path class="stroke error" d={path(after.map((value, index) => [x(index), y(value)]))} />}
          <path class="stroke code" d={path(block.weights.map((value, index) => [x(index), y(value)]))} />
        </>
      )}
    </Plot>
  );
}

function Harm({ block, after, chosen }: { block: Block; after: number[] | null; chosen: number }) {
  if (chosen < 0) return <p class="aside">No single bit is chosen: pick one of the eight above, or take one of the two here.</p>;
  if (!after) return null;
  const changes = after.map((value, index) => Math.abs(value - block.weights[index]));
  const most = Math.max(...changes.map((c) => (Number.isNaN(c) ? Infinity : c)));
  const largest = Math.max(...block.weights.map(Math.abs));
  return (
    <Readout
      items={[
        { label: "weights that change", value: whole(changes.filter((c) => c !== 0).length), role: "error", id: "changed" },
        { label: "by at most", value: short(most), role: "error", id: "harm" },
        { label: "of the block's largest weight", value: largest && Number.isFinite(most) ? percent(most / largest, 0) : "∞", role: "error" },
      ]}
    />
  );
}

/** How many of the bits for one weight are code, scale and min. */
function Share({ found }: { found: Anatomy }) {
  const each = (["code", "scale", "min"] as const).map((role) => ({ role, bits: found.uses.filter((use) => use.role === role).length / found.format.block_size }));
  const used = each.filter(({ bits }) => bits > 0);
  return (
    <Figure title="Where the bits go" wide caption="All stored bits over all weights. Larger blocks spend less on scales, and fit their weights less closely.">
      <div class="bar" role="img" aria-label={used.map(({ role, bits }) => `${role}: ${short(bits)} bits`).join(", ")}>
        {used.map(({ role, bits }) => (
          <span key={role} class={look(role)} style={{ flexGrow: bits }} />
        ))}
      </div>
      <Readout
        items={[
          ...used.map(({ role, bits }) => ({ label: `${role}, bits for one weight`, value: short(bits), role: role === "code" ? ("code" as const) : ("scale" as const), id: `share-${role}` })),
          { label: "together", value: short(found.format.bits_per_weight), id: "share" },
        ]}
      />
    </Figure>
  );
}
