/** Blocks: one large weight spoils the scale of all that share it. Plant one, choose who shares, and see what each costs. */
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { throughBlocks, type GridKind } from "../arithmetic/affine";
import { Chapter, Controls, Figure, Readout, Term } from "../components/chapter";
import { Choice, Scrub, Select, Slider } from "../components/controls";
import { path, Plot } from "../components/plot";
import { Data } from "../data";
import { percent, short, whole } from "../numbers";
import { useParam } from "../state";

interface Listed {
  name: string;
  shape: number[];
  format: string;
  bits_per_weight: number;
}

interface Nested {
  bits: number;
  scales: number[];
  minimums: number[];
  bits_per_weight: number;
  error: number;
}

interface Superblock {
  scales: number[];
  minimums: number[];
  plain: { bits_per_weight: number; error: number };
  nested: Nested[];
  encoded: Record<string, number>;
}

interface Row extends Listed {
  row: number;
  values: number[];
  low: number;
  high: number;
  superblock: Superblock | null;
}

const SIZES = ["16", "32", "64", "128", "256", "row", "tensor"] as const;
type Size = (typeof SIZES)[number];
const SHOWN = 256; // columns drawn
const FEW = 8; // bits per weight: a file stored in fewer shows its own grid

export default function Blocks() {
  return (
    <Chapter title="Blocks and outliers" lead="A scale is shared, and whoever shares it pays for the largest. So share it among few. But every scale takes bits of its own.">
      <Data<{ tensors: Listed[]; first: string | null }> name="rows" wait="Listing the tensors">
        {({ tensors, first }) =>
          first ? <Chosen tensors={tensors} first={first} /> : <p>This file has no matrix of 64 columns or more, so there is no row to cut into blocks.</p>
        }
      </Data>
    </Chapter>
  );
}

function Chosen({ tensors, first }: { tensors: Listed[]; first: string }) {
  const [name, setName] = useParam("tensor", first, tensors.map((t) => t.name));
  const select = <Select id="tensor" label="Tensor" options={tensors.map((t) => ({ value: t.name, label: `${t.name} (${t.format})` }))} value={name} onChange={setName} />;
  return (
    <>
      <p>
        Below is one row of your model's weights. Every block of it has one <Term role="scale">scale</Term>, which the largest weight of the block decides. Now plant an
        outlier: make one weight much larger than the others, and watch its neighbours. Their ticks move so far apart that most of them round to zero.
      </p>
      <Data<Row> name={`row/${name}`} wait="Reading a row">
        {(row) => (
          <>
            <Planted row={row} select={select} />
            <Nesting row={row} />
          </>
        )}
      </Data>
    </>
  );
}

/** What of a block's size `size` is on this row: how many weights share a scale. */
const sharing = (size: Size, row: Row) => (size === "row" || size === "tensor" ? row.values.length : Number(size));

function stored(row: Row, values: Float32Array, kind: GridKind, bits: number, size: Size): Float32Array {
  const range: [number, number] | undefined = size === "tensor" ? [row.low, row.high] : undefined;
  return throughBlocks(values, kind, bits, sharing(size, row), size === "row", range);
}

/** Bits of scales (and zero-points) for each weight. */
function overhead(row: Row, kind: GridKind, size: Size): number {
  const zero = kind === "asymmetric" ? 8 : 0;
  const weights = row.shape.reduce((product, n) => product * n, 1);
  if (size === "tensor") return (32 + zero) / weights;
  if (size === "row") return (32 + zero) / row.values.length;
  return ((16 + zero) * Math.ceil(row.values.length / Number(size))) / row.values.length;
}

/** The norm of the error, relative to that of the weights; `without`: a column that does not count. */
function loss(values: Float32Array, got: Float32Array, without: number): number {
  let [error, size] = [0, 0];
  values.forEach((value, i) => {
    if (i === without) return;
    error += (got[i] - value) ** 2;
    size += value * value;
  });
  return size ? Math.sqrt(error / size) : 0;
}

const label = (size: Size) => (size === "row" ? "the row" : size === "tensor" ? "the tensor" : size);

function Planted({ row, select }: { row: Row; select: ComponentChildren }) {
  const shown = Math.min(SHOWN, row.values.length);
  const [size, setSize] = useParam<Size>("share", "64", SIZES);
  const [kind, setKind] = useParam<GridKind>("grid", "symmetric", ["symmetric", "asymmetric"]);
  const [asked, setBits] = useParam("bits", 4);
  const [times, setTimes] = useParam("outlier", 20);
  const [askedAt, setAt] = useParam("at", 100);
  const bits = Math.min(8, Math.max(2, Math.round(asked)));
  const at = Math.min(shown - 1, Math.max(0, Math.round(askedAt)));
  const plain = useMemo(() => Float32Array.from(row.values), [row]);
  const deviation = Math.sqrt(plain.reduce((sum, v) => sum + v * v, 0) / plain.length);
  const values = Float32Array.from(plain);
  if (times > 0) values[at] = Math.fround(times * deviation);
  const got = stored(row, values, kind, bits, size);
  const before = stored(row, plain, kind, bits, size);
  const share = sharing(size, row);
  const start = Math.floor(at / share) * share;
  const hit = Array.from({ length: Math.min(share, row.values.length - start) }, (_, i) => start + i).filter((i) => i !== at || times === 0);
  const zeros = hit.filter((i) => got[i] === 0).length;
  const errors = { now: loss(values, got, times ? at : -1), before: loss(plain, before, times ? at : -1) };
  return (
    <>
      <Figure
        title="An outlier among real weights"
        wide
        caption={
          <>
            {shown < row.values.length ? `The first ${shown} of the ${whole(row.values.length)} columns` : `All ${shown} columns`} of row {whole(row.row)} of {row.name}. Grey bars are the weights, dots what they read back as;
            below is how far apart they are. The shaded block shares its scale with the outlier.{" "}
            {row.values.length % share ? `The last block is shorter here, because ${share} does not divide ${row.values.length}; real formats refuse such rows.` : ""}
          </>
        }
      >
        <Controls>
          {select}
          <Choice id="share" label="Who shares a scale: this many weights" options={SIZES.map((value) => ({ value, label: label(value) }))} value={size} onChange={setSize} />
          <Slider id="outlier" label="Size of the outlier" min={0} max={60} step={1} value={times} onInput={setTimes} text={(n) => (n ? `${n} × typical` : "none")} />
          <Slider id="bits" label="Bits of a code" min={2} max={8} step={1} value={bits} onInput={setBits} />
          <Choice id="grid" label="Grid" options={[{ value: "symmetric", label: "symmetric" }, { value: "asymmetric", label: "asymmetric" }]} value={kind} onChange={setKind} />
        </Controls>
        {row.bits_per_weight < FEW && (
          <p class="aside">
            This tensor is stored as {row.format}, so its weights are on a grid already, and a grid like that one seems to lose nothing. A tensor stored in more bits shows what rounding costs.
          </p>
        )}
        <Weights values={values} got={got} shown={shown} deviation={deviation} block={[start, start + share]} share={share} at={times ? at : -1} />
        <p>
          The outlier sits in column <Scrub id="at" label="Column of the outlier" value={at} min={0} max={shown - 1} step={1} onInput={setAt} text={String} pixels={3} />. Of the {whole(hit.length)}{" "}
          other weights of its block, <strong data-value="zeros">{whole(zeros)}</strong> now read back as zero.
        </p>
        <Readout
          items={[
            { label: "bits per weight", value: short(bits + overhead(row, kind, size), 5), id: "bits-per-weight" },
            { label: "of them for scales", value: short(overhead(row, kind, size), 3), role: "scale", id: "overhead" },
            { label: "error of the other weights", value: percent(errors.now, 2), role: "error", id: "error" },
            { label: "without the outlier", value: percent(errors.before, 2), role: "reference", id: "error-before" },
          ]}
        />
      </Figure>
      <p>
        With one scale for the whole tensor, a single weight can ruin every other. With a scale for each {size === "row" || size === "tensor" ? "small block" : `block of ${share}`}, it ruins its own block and no more. That is why all
        formats for large models work in blocks. Smaller is better, but not free:
      </p>
      <Tradeoff row={row} values={values} plain={plain} kind={kind} bits={bits} size={size} at={times ? at : -1} />
    </>
  );
}

interface WeightsProps {
  values: Float32Array;
  got: Float32Array;
  shown: number;
  deviation: number;
  block: [number, number];
  share: number;
  at: number; // the outlier's column; −1: none
}

function Weights({ values, got, shown, deviation, block, share, at }: WeightsProps) {
  const columns = Array.from({ length: shown }, (_, i) => i);
  const reach = 4 * deviation || 1;
  const errors = columns.map((i) => (i === at ? 0 : Math.abs(got[i] - values[i])));
  const most = Math.max(...errors, 1e-9);
  const borders = columns.filter((i) => i % share === 0 && i);
  return (
    <>
      <Plot
        label={`${shown} weights as bars, with what they read back as; weights between ${short(-reach, 2)} and ${short(reach, 2)} are drawn to scale`}
        x={{ domain: [-1, shown], ticks: 0 }}
        y={{ domain: [-reach, reach], label: "weight", ticks: 5 }}
        height={220}
        table={{ title: "The weights", columns: ["column", "weight", "reads back as", "error"], rows: columns.map((i) => [i, short(values[i]), short(got[i]), short(got[i] - values[i], 3)]) }}
      >
        {({ x, y, height }) => (
          <>
            <rect class="block" x={x(block[0] - 0.5)} width={Math.max(0, x(Math.min(block[1], shown + 1) - 0.5) - x(block[0] - 0.5))} height={height} />
            {borders.map((i) => (
              <line key={i} class="grid" x1={x(i - 0.5)} x2={x(i - 0.5)} y2={height} />
            ))}
            <path class="bars" d={columns.map((i) => `M${x(i).toFixed(1)},${y(0).toFixed(1)}V${Math.max(0, Math.min(height, y(values[i]))).toFixed(1)}`).join("")} />
            <path class="dots" d={columns.map((i) => `M${x(i).toFixed(1)},${y(got[i]).toFixed(1)}h0`).join("")} />
            {at >= 0 && (
              <text class="label halo" x={x(at) + (at > shown / 2 ? -6 : 6)} y={14} text-anchor={at > shown / 2 ? "end" : "start"}>
                outlier: {short(values[at], 3)}
              </text>
            )}
          </>
        )}
      </Plot>
      <Plot label={`The errors of the same weights; the largest is ${short(most, 2)}`} x={{ domain: [-1, shown], label: "column" }} y={{ domain: [0, most], label: "error", ticks: 3 }} height={120}>
        {({ x, y, height }) => <path class="errors" d={columns.map((i) => `M${x(i).toFixed(1)},${height}V${y(errors[i]).toFixed(1)}`).join("")} />}
      </Plot>
    </>
  );
}

function Tradeoff({ row, values, plain, kind, bits, size, at }: { row: Row; values: Float32Array; plain: Float32Array; kind: GridKind; bits: number; size: Size; at: number }) {
  const points = SIZES.map((each) => ({
    size: each,
    bits: bits + overhead(row, kind, each),
    error: loss(values, stored(row, values, kind, bits, each), at),
    before: loss(plain, stored(row, plain, kind, bits, each), at),
  }));
  const most = Math.max(...points.map((p) => p.error)) * 1.3 || 1;
  const wide = overhead(row, kind, "16") * 1.1;
  return (
    <Figure title="What a smaller block costs, and buys" wide caption="Each dot is a block size. To the right are more bits for scales, upwards is more error. The dashed line is this row with the outlier, the dotted one without.">
      <Plot
        label={`Error against bits per weight for ${points.length} block sizes`}
        x={{ domain: [bits - 0.04, bits + wide], label: "bits per weight, scales included" }}
        y={{ domain: [0, most], text: (v) => percent(v, 0), label: "error of the other weights" }}
        table={{ title: "The numbers", columns: ["weights that share a scale", "bits per weight", "error", "without the outlier"], rows: points.map((p) => [label(p.size), short(p.bits, 5), percent(p.error, 2), percent(p.before, 2)]) }}
      >
        {({ x, y }) => (
          <>
            <path class="stroke reference" d={path(points.map((p) => [x(p.bits), y(p.before)]))} />
            <path class="stroke error" d={path(points.map((p) => [x(p.bits), y(p.error)]))} />
            {points.map((p) => (
              <g key={p.size} class="error">
                <circle class="fill" cx={x(p.bits)} cy={y(p.error)} r={p.size === size ? 7 : 4} />
                {p.size !== "row" && (
                  <text class={p.size === size ? "label halo" : "halo"} x={x(p.bits) + 9} y={y(p.error) - 7}>
                    {label(p.size)}
                  </text>
                )}
              </g>
            ))}
          </>
        )}
      </Plot>
    </Figure>
  );
}

function Nesting({ row }: { row: Row }) {
  const [bits, setBits] = useParam("nested", 6);
  const found = row.superblock;
  const options = found?.nested ?? [];
  const nested = options.find((n) => n.bits === bits) ?? options[4];
  return (
    <>
      <h3>Scales of scales</h3>
      <p>
        A block of 32 weights in 4-bit codes with a float16 scale and a float16 minimum takes 5 bits for each weight: a fifth of it is not weights. But scales are numbers too, and can be quantized as well. A{" "}
        <strong>superblock</strong> of 256 weights holds eight such blocks. Each stores its scale and its minimum as small integers, and two floats for all eight say what these integers are worth. This is
        Q4_K, and its integers have 6 bits.
      </p>
      {!found || !nested ? (
        <p class="aside">The rows of {row.name} have {whole(row.values.length)} columns, and a superblock needs 256. Choose another tensor.</p>
      ) : (
        <Figure
          title="Eight scales, stored as integers"
          wide
          caption={`The first 256 weights of the same row. Outlined bars are the scales as floats, filled ones what is left of them. For the same weights, bitwright's own choice of codes has an error of ${percent(found.encoded.q4_0, 2)} in Q4_0 (4.5 bits), ${percent(found.encoded.q4_1, 2)} in Q4_1 (5 bits) and ${percent(found.encoded.q4_k, 2)} in Q4_K (4.5 bits).`}
        >
          <Controls>
            <Slider id="nested" label="Bits of a block's scale and minimum" min={options[0].bits} max={options[options.length - 1].bits} step={1} value={nested.bits} onInput={setBits} />
          </Controls>
          <div class="pair">
            <Bars title="scale" exact={found.scales} kept={nested.scales} />
            <Bars title="minimum" exact={found.minimums} kept={nested.minimums} />
          </div>
          <Budget bits={nested.bits} />
          <Readout
            items={[
              { label: "bits per weight", value: short(nested.bits_per_weight, 5), id: "nested-bits" },
              { label: "bits with float16 scales", value: short(found.plain.bits_per_weight, 5), role: "reference", id: "plain-bits" },
              { label: "error", value: percent(nested.error, 2), role: "error", id: "nested-error" },
              { label: "error with float16 scales", value: percent(found.plain.error, 2), role: "reference", id: "plain-error" },
            ]}
          />
        </Figure>
      )}
    </>
  );
}

function Bars({ title, exact, kept }: { title: string; exact: number[]; kept: number[] }) {
  const [low, high] = [Math.min(0, ...exact, ...kept), Math.max(0, ...exact, ...kept)];
  return (
    <Plot
      label={`The ${title} of each of ${exact.length} blocks, as a float and as stored`}
      x={{ domain: [-0.5, exact.length - 0.5], ticks: exact.map((_, i) => i), text: (i) => String(i + 1), label: "block" }}
      y={{ domain: [low * 1.05, high ? high * 1.2 : -low * 0.2 || 0.01], label: title, ticks: 4 }}
      height={200}
      table={{ title: `The ${title}s`, columns: ["block", "as a float", "as stored", "error"], rows: exact.map((v, i) => [i + 1, short(v), short(kept[i]), v ? percent(Math.abs(kept[i] / v - 1)) : "0%"]) }}
    >
      {({ x, y }) =>
        exact.map((v, i) => {
          const width = 0.7 * (x(1) - x(0));
          return (
            <g key={i}>
              <rect class="fill scale" x={x(i) - width / 2} width={width} y={Math.min(y(0), y(kept[i]))} height={Math.abs(y(kept[i]) - y(0))} />
              <rect class="outline" x={x(i) - width / 2 - 2} width={width + 4} y={Math.min(y(0), y(v))} height={Math.abs(y(v) - y(0))} />
            </g>
          );
        })
      }
    </Plot>
  );
}

/** Where the bits of a weight go. */
function Budget({ bits }: { bits: number }) {
  const parts = [
    { name: "codes", bits: 4, role: "code" },
    { name: "scales and minimums of the blocks", bits: (2 * bits) / 32, role: "scale" },
    { name: "two floats of the superblock", bits: 32 / 256, role: "reference" },
  ];
  return (
    <Plot label={parts.map((p) => `${p.bits} bits per weight for ${p.name}`).join(", ")} x={{ domain: [0, 5], label: "bits per weight" }} height={84}>
      {({ x }) =>
        parts.map((p, n) => {
          const before = parts.slice(0, n).reduce((sum, one) => sum + one.bits, 0);
          return (
            <g key={p.name} class={p.role}>
              <rect class="fill" x={x(before)} width={Math.max(0, x(p.bits) - x(0) - 1)} y={0} height={26} />
              {p.role === "code" && <text class="inside" x={x(before) + 8} y={17}>codes</text>}
            </g>
          );
        })
      }
    </Plot>
  );
}
