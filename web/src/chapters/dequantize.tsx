/** Dequantize on the fly: one block's dot product, instruction by instruction. */
import { useState } from "preact/hooks";
import { Cells } from "../components/cells";
import { Chapter, Controls, Figure, Readout, Term, NoInputs } from "../components/chapter";
import { Choice, Select, Slider } from "../components/controls";
import { Steps } from "../components/steps";
import { Data } from "../data";
import { exact, percent, short, whole } from "../numbers";
import { useParam } from "../state";

interface Register {
  name: string;
  type: string;
  lanes: number[];
  role: "code" | "scale" | "reference";
  sources: Record<string, number[][]>;
}

interface Step {
  kind: string;
  numbers: Record<string, number>;
  registers: Register[];
}

interface Target {
  target: string;
  result: number;
  steps: Step[];
}

interface Dot {
  format: string;
  tensor: string;
  row: number;
  column: number;
  own: boolean;
  exact: number;
  before: number;
  targets: Target[];
}

const TARGETS: Record<string, { label: string; about: string }> = {
  avx2: { label: "AVX2", about: "Intel and AMD processors since 2013. Registers of 256 bits: 32 bytes at a time." },
  vnni: { label: "AVX-512 VNNI", about: "Newer Intel and AMD processors, with an instruction made for this. Registers of 512 bits take two such blocks at once; one is shown." },
  neon: { label: "NEON", about: "Arm: phones, Apple's and Amazon's processors. Registers of 128 bits: 16 bytes at a time." },
  half: { label: "a GPU without the format", about: "Codes become 16-bit floats first. Apple's GPUs and NVIDIA's Volta read prompts like this; later NVIDIA cards unpack 4-bit codes to bytes, as a processor does." },
  fp4: { label: "a GPU with the format", about: "NVIDIA's Blackwell has an instruction that takes MXFP4. llama.cpp uses it for prompts on GeForce 50 cards, with inputs rounded to 4 bits too." },
};

type Numbers = Record<string, number>;

const round = (n: number) => short(n, 4);

/** What each step is called, the instruction that does it, and what it means. */
const SAID: Record<string, { title: string; instruction?: string; text: (n: Numbers) => string }> = {
  round: { title: "Round the input, once", instruction: "cvtps2dq, pack", text: (n) => `The 32 inputs become bytes under a scale of ${round(n.scale)}. Every row of the matrix uses them, so this costs next to nothing.` },
  load: { title: "Load the codes", instruction: "load", text: (n) => `${n.bits} bits for each of 32 weights come from memory. Nothing larger ever does.` },
  unpack: { title: "Unpack", instruction: "and 0x0f, shift right by 4", text: () => "A mask keeps the low half of each byte, a shift brings down the high half. Weights 0 and 16 shared a byte." },
  "look-up": { title: "Look up", instruction: "pshufb, tbl", text: () => "The codes are places in a table of 16 numbers. The table lies in a register, so all are looked up at once." },
  signs: { title: "Move the signs", instruction: "vpabsb, vpsignb", text: () => "The multiplication takes one side without signs. So the signs of the weights go over to the inputs." },
  pairs: { title: "Multiply, and add pairs", instruction: "vpmaddubsw", text: () => "32 multiplications and 16 additions at once. A sum of two has 16 bits, and would stop at 32,767." },
  widen: { title: "Widen", instruction: "vpmaddwd by ones, vpaddd", text: () => "Neighbours are added once more, into 32 bits, where there is room for the rest of the row." },
  "shift-up": { title: "Shift up", instruction: "xor 0x80", text: () => "The multiplication takes one side without signs: 128 is added to each weight, and taken out of the sum at the end." },
  fours: { title: "Multiply and add, in one", instruction: "vpdpbusd", text: () => "Each 32-bit lane takes four products and adds them to what it holds. There is no 16-bit sum that could stop short." },
  half: { title: "The first half", instruction: "sdot", text: () => "A register holds 16 bytes, so 32 columns take two instructions. Both sides may have signs." },
  "other-half": { title: "The other half", instruction: "sdot", text: () => "The products of columns 16 to 31 are added to the same four lanes." },
  "add-lanes": { title: "Add the lanes", instruction: "shuffle and add", text: () => "The lanes are added up. bitwright's own kernels put another row in each lane, and never need this step." },
  "take-out": { title: "Take out what was added", instruction: "subtract", text: (n) => `Every weight was ${n.offset} too large, so the sum is too large by ${n.offset} × ${whole(n.inputs)}. The sum of the inputs is known beforehand.` },
  scale: {
    title: "Scale",
    instruction: "fma in 32-bit floats",
    text: (n) => `${whole(n.sum)} × ${round(n.scale)} × ${round(n.scale_x)}${n.minimum ? ` + ${round(n.minimum)} × ${whole(n.inputs)} × ${round(n.scale_x)}: the min, times the sum of the inputs` : ""}. The only float arithmetic, once for 32 weights.`,
  },
  convert: { title: "Convert", instruction: "cvt, fma in 16-bit floats", text: () => "Codes become 16-bit floats, and the scale is multiplied in at once: 32 conversions that a chip with the format does not need. They stay in registers." },
  multiply: { title: "Multiply", instruction: "mma in 16-bit floats", text: () => "The matrix unit multiplies 16-bit floats, as it would have done without any quantization." },
  "add-up": { title: "Add up", instruction: "in the matrix unit", text: () => "All products are added in 32-bit floats. No scale is left to apply." },
  "round-4": { title: "Round the input, once", instruction: "convert to e2m1", text: (n) => `The inputs become 4-bit floats too, under a power of two, ${round(n.scale)}. That costs more accuracy than bytes do.` },
  nothing: { title: "Nothing to unpack", text: () => "Two codes stay in each byte. The matrix unit takes them like that." },
  "block-scale": { title: "Multiply, add and scale, in one", instruction: "mma.sync kind::mxf4.block_scale", text: (n) => `One instruction multiplies 16 rows of 64 columns by 8 inputs. Both scales, ${round(n.scale)} and ${round(n.scale_x)}, go in with the codes.` },
};

const TYPES: Record<string, string> = {
  u8: "bytes without sign",
  s8: "bytes with sign",
  s16: "16-bit integers",
  s32: "32-bit integers",
  f16: "16-bit floats",
  f32: "32-bit floats",
  f4: "4-bit floats, as codes",
};

export default function DequantizeChapter() {
  return (
    <Chapter title="Dequantize on the fly" lead="A model in 4 bits is never turned back into one of 16. Each block is taken apart in registers, at the moment it is multiplied, and forgotten. Here is one of your model's, in slow motion.">
      <Data<{ formats: string[]; problem: string | null }> name="dots">
        {({ formats, problem }) =>
          formats.length ? (
            <Body formats={formats} />
          ) : problem ? (
            <NoInputs problem={problem} />
          ) : (
            <p class="problem">The rows of this layer are not whole blocks of 32, so there is none to show.</p>
          )
        }
      </Data>
    </Chapter>
  );
}

function Body({ formats }: { formats: string[] }) {
  const [format, setFormat] = useParam("format", formats[0], formats);
  return (
    <>
      <p>
        Multiplying a matrix by a vector means: for each row, multiply weight by input, column by column, and add it all up. Processors have instructions that do dozens of these at once. Each works on a{" "}
        <em>register</em>, a few dozen bytes side by side, cut into equal lanes.
      </p>
      <p>
        The trick is that <Term role="code">codes</Term> need not become weights before they are multiplied. All weights of a block share one <Term role="scale">scale</Term>, so it can wait: multiply and add
        the small integers, which is exact and fast, and apply the scale to the sum.
      </p>
      <Controls>
        <Select id="format" label="Format" value={format} onChange={setFormat} options={formats.map((f) => ({ value: f, label: f }))} />
      </Controls>
      <Data<Dot> name={`dot/${format}`} wait="Running the model up to an early layer, for a real input">
        {(found) => <Slow found={found} />}
      </Data>
      <Room />
    </>
  );
}

function Slow({ found }: { found: Dot }) {
  const names = found.targets.map((t) => t.target);
  const [name, setName] = useParam("on", names[0], names);
  const [at, setAt] = useParam("step", 1);
  const target = found.targets.find((t) => t.target === name)!;
  const index = Math.min(target.steps.length, Math.max(1, Math.round(at)));
  const step = target.steps[index - 1];
  const off = target.result - found.exact;
  const scale = Math.abs(found.exact) || 1;
  return (
    <>
      <Figure
        title={`32 weights in ${found.format}, times 32 inputs`}
        wide
        caption={
          <>
            Row {found.row}, columns {found.column} to {found.column + 31} of {found.tensor}, {found.own ? "with the bytes of your file" : `brought into ${found.format}`}, and the input that one token of a real
            text gives this layer. {name === "half" || name === "fp4" ? "" : "bitwright gives the two loudest groups of every 1024 columns a second byte for each input, for what the first one lost."}
          </>
        }
      >
        <Controls>
          <Choice id="on" label="Multiplied on" value={name} onChange={(next) => (setAt(1), setName(next))} options={names.map((t) => ({ value: t, label: TARGETS[t].label }))} />
        </Controls>
        <p class="field">{TARGETS[name].about}{!names.includes("fp4") && name === "half" ? ` No GPU has an instruction for ${found.format}; for one that is, choose mxfp4.` : ""}</p>
        <Steps id="step" label={SAID[step.kind].title} value={index} count={target.steps.length} onInput={(next) => setAt(Math.max(1, next))} pause={2200} />
        <Instruction target={target} index={index} />
        <ol class="trail">
          {target.steps.map((s, k) => (
            <li key={k} aria-current={k === index - 1 ? "step" : undefined}>
              <button type="button" tabIndex={-1} onClick={() => setAt(k + 1)}>{SAID[s.kind].title}</button>
            </li>
          ))}
        </ol>
        <Readout
          items={[
            { label: "result", value: exact(target.result), role: "scale", id: "result" },
            { label: "decoded block times input, in full precision", value: exact(found.exact), role: "reference", id: "exact" },
            { label: "difference", value: `${short(off, 2)} (${percent(Math.abs(off) / scale, 2)})`, role: "error", id: "difference" },
            ...(found.own ? [] : [{ label: "what the format itself changed", value: short(found.exact - found.before, 2), role: "error" as const }]),
          ]}
        />
      </Figure>
      <p>
        Compare the machines. AVX2 needs three instructions (multiply, widen, add) for what VNNI does in one. A GPU that converts to 16 bits does so for every single weight, and multiplies no faster than it would a 16-bit model: it has won
        memory, and only memory. The one with the format converts nothing, and pays with inputs of 4 bits.
      </p>
    </>
  );
}

/** The registers that a step reads and writes. A lane lights up those it comes from. */
function Instruction({ target, index }: { target: Target; index: number }) {
  const [picked, pick] = useParam("lane", ""); // register.lane
  const [hover, setHover] = useState<{ register: string; lane: number } | null>(null);
  const step = target.steps[index - 1];
  const names = new Set(step.registers.flatMap((r) => Object.keys(r.sources)));
  const own = new Set(step.registers.map((r) => r.name));
  const earlier = target.steps.slice(0, index - 1).flatMap((s) => s.registers);
  const reads = [...names].filter((n) => !own.has(n)).flatMap((n) => earlier.filter((r) => r.name === n).slice(-1));
  const all = [...reads, ...step.registers];
  const last = step.registers[step.registers.length - 1];
  const [register, lane] = picked.split(".");
  const chosen = all.some((r) => r.name === register && Number(lane) in r.lanes) ? { register, lane: Number(lane) } : { register: last.name, lane: 0 };
  const shown = hover ?? chosen;
  const from = step.registers.find((r) => r.name === shown.register);
  const lit = (register: Register, lane: number) => {
    if (register.name === shown.register) return lane === shown.lane;
    if (from?.sources[register.name]?.[shown.lane]?.includes(lane)) return true;
    return step.registers.some((r) => r.name === register.name && r.sources[shown.register]?.[lane]?.includes(shown.lane));
  };
  const row = (register: Register, written: boolean) => (
    <section key={register.name} class="register" aria-label={register.name}>
      <p class="field">
        <b>{register.name}</b> {register.lanes.length} {register.lanes.length === 1 ? "lane" : "lanes"}, {TYPES[register.type]}{written ? "" : ", from before"}
      </p>
      <Cells
        id={`lanes-${register.name}`}
        label={`The lanes of ${register.name}`}
        count={register.lanes.length}
        columns={Math.min(register.type.startsWith("f") && register.type !== "f4" ? 8 : 16, register.lanes.length)}
        current={chosen.register === register.name ? chosen.lane : -1}
        onPick={(lane) => pick(`${register.name}.${lane}`)}
        onHover={(lane) => setHover(lane === null ? null : { register: register.name, lane })}
        name={(lane) => `lane ${lane}: ${value(register, lane)}`}
        look={(lane) => `${register.role}${lit(register, lane) ? " lit" : ""}`}
      >
        {(lane) => value(register, lane)}
      </Cells>
    </section>
  );
  return (
    <div class="instruction" data-value="step" data-step={step.kind}>
      <p>
        {SAID[step.kind].instruction && <code>{SAID[step.kind].instruction}</code>} {SAID[step.kind].text(step.numbers)}
      </p>
      {reads.map((r) => row(r, false))}
      {reads.length > 0 && <p class="arrow" aria-hidden="true">↓</p>}
      {step.registers.map((r) => row(r, true))}
    </div>
  );
}

function value(register: Register, lane: number): string {
  const one = register.lanes[lane];
  if (register.name === "bytes") return one.toString(16).padStart(2, "0");
  return register.type.startsWith("f") && register.type !== "f4" ? short(one, register.lanes.length > 1 ? 2 : 6) : String(one).replace("-", "−");
}

const TOP = 32767;

/** How many products fit a 16-bit sum, and what happens beyond. */
function Room() {
  const [highest, setHighest] = useParam("highest", 15);
  const code = Math.min(255, Math.max(1, Math.round(highest)));
  const pair = 2 * code * 127;
  const run = Math.floor(TOP / pair);
  return (
    <>
      <h3>Why small codes help AVX2</h3>
      <p>
        AVX2 adds products in 16 bits, where the largest number is {whole(TOP)}. Beyond it the sum does not wrap around, and it does not complain: it stays there. The smaller the codes, the more products have
        room before the sum must be widened.
      </p>
      <Figure title="Room in 16 bits" wide caption="The worst case: all codes and all inputs as large as can be. bitwright's kernels add as many pairs as surely fit, and turn signs around where a code needs all eight bits.">
        <Controls>
          <Slider id="highest" label="Largest code" min={1} max={255} step={1} value={code} onInput={setHighest} text={(v) => whole(v)} />
        </Controls>
        <div class="room" role="img" aria-label={run ? `${run} pairs of products fit` : "Not even one pair of products fits"}>
          {Array.from({ length: Math.max(1, Math.min(run, 8)) }, (_, k) => (
            <span key={k} class={run ? "code" : "error"} style={{ width: `${Math.min(100, (100 * pair) / TOP)}%` }} />
          ))}
        </div>
        <Readout
          items={[
            { label: `a pair: 2 × ${code} × 127`, value: whole(pair), role: "code", id: "pair" },
            { label: "stored as", value: whole(Math.min(pair, TOP)), role: pair > TOP ? "error" : "code", id: "stored" },
            { label: "pairs that surely fit", value: whole(run), id: "pairs" },
          ]}
        />
      </Figure>
    </>
  );
}
