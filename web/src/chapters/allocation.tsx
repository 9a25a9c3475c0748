/** Who gets the bits: how much each tensor loses, a budget that divides itself, and a search replayed. */
import { useMemo } from "preact/hooks";
import { allocate, bytesOf, costOf, uniform, upgrades, usable, type Choices } from "../arithmetic/allocation";
import { Chapter, Controls, Figure, Readout, Term } from "../components/chapter";
import { Button, Scrub, Select, Slider, Toggle } from "../components/controls";
import { path, Plot, useWidth } from "../components/plot";
import { Data } from "../data";
import { bytes, percent, short, whole } from "../numbers";
import { useParam } from "../state";

interface Tensor {
  name: string;
  role: string;
  layer: number | null;
}

interface Tried {
  levels: string;
  parent: number;
  origin: string;
  generation: number;
  gain: number | null;
  chunks: number[];
  scores: number[];
  outcome: string;
}

interface Allocation extends Choices {
  unavailable: string; // why nothing is known of the model; the rest is then missing
  source: "history" | "built-in" | "survey";
  origin: string;
  tensors: Tensor[];
  formats: { name: string; bits_per_weight: number }[];
  presets: Record<string, number[]>;
  tried: Tried[];
  best: number;
}

export default function AllocationChapter() {
  return (
    <Chapter
      title="Who gets the bits"
      lead="Some tensors of a model can lose most of their bits and nobody notices. Others cannot. A good file gives each what it needs, and no byte more."
    >
      <Data<Allocation> name="allocation" wait="Trying every format on a few rows of each tensor">
        {(found) => (found.unavailable ? <p>This page needs to know your model, and does not: {found.unavailable}.</p> : <Body found={found} />)}
      </Data>
    </Chapter>
  );
}

const SOURCES = {
  history: "These figures are from the history you gave: nats per token that each format adds in each tensor, measured with gradients.",
  "built-in": "",
  survey:
    "No search of this model was given, so the figures are a first look: the relative squared error of a few rows of each tensor, as if all tensors mattered equally. They do not. bitwright fit MODEL --history H.json measures what matters, and bitwright explore MODEL --fit H.json shows it here.",
};

const WIDEST = 9; // bits per weight: what is larger counts as the original, where a tensor has another choice

/** The choices without those that save nothing. */
function narrowed(found: Allocation): Allocation {
  const small = found.formats.map((f) => f.bits_per_weight <= WIDEST);
  const cost = found.cost.map((own, row) => {
    const some = own.some((_, level) => small[level] && usable(found, row, level));
    return own.map((one, level) => (some && !small[level] ? null : one));
  });
  return { ...found, cost };
}

function Body({ found: given }: { found: Allocation }) {
  const found = useMemo(() => narrowed(given), [given]);
  const nats = found.source !== "survey";
  const unit = nats ? "nats" : "relative error";
  return (
    <>
      <p class="aside">{SOURCES[found.source] || found.origin}</p>
      <p>
        First, the <Term role="error">damage</Term>. Store one tensor in few bits and leave all others alone: how much worse does the model get? Each cell
        is a tensor. A column is a layer. The darker, the more it hurts.
      </p>
      <Sensitivity found={found} unit={unit} />
      <p>
        Now share out a budget. Each upgrade of a tensor to a larger format costs bytes and saves damage. Buy the upgrade that saves most per byte, then
        the next, until the money is gone. Every tensor then pays the same price for its last byte: that is what makes the sharing fair, and the file good.
      </p>
      <Budget found={found} unit={unit} />
      <h3>Then search</h3>
      <p>
        Adding up the damage of single tensors is a good guess and not the truth: errors of different tensors meet inside the model. So a search
        goes on from the guess: offspring exchange bits between tensors, whole candidates are measured, and the better one lives on.
        {found.source === "built-in" && " The one below was made to begin with one format for all tensors, so that you see it find the way."}
      </p>
      {found.tried.length > 1 ? (
        <Replay found={found} unit={unit} />
      ) : (
        <p class="aside">No search is recorded here. Run bitwright fit MODEL --history H.json, then bitwright explore MODEL --fit H.json replays it.</p>
      )}
    </>
  );
}

const ORDER = ["attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

interface GridProps {
  found: Allocation;
  label: string;
  shade: (row: number) => { role: "error" | "code"; strength: number } | null; // null: not known
  chosen?: number;
  choose?: (row: number) => void;
  marked?: Set<number>;
}

/** Tensors as cells: a row for each kind, a column for each layer; those outside of layers below. */
function Grid({ found, label, shade, chosen, choose, marked }: GridProps) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const roles = [...new Set(found.tensors.filter(({ layer }) => layer !== null).map(({ role }) => role))];
  roles.sort((a, b) => (ORDER.indexOf(a) + 99) % 99 - ((ORDER.indexOf(b) + 99) % 99));
  const outside = found.tensors.flatMap(({ layer }, row) => (layer === null ? [row] : []));
  const layers = Math.max(0, ...found.tensors.map(({ layer }) => (layer ?? -1) + 1));
  const left = 88;
  const cell = Math.max(2, (width - left) / Math.max(1, layers));
  const tall = Math.min(26, Math.max(14, cell));
  const places = found.tensors.map(({ role, layer }, row) =>
    layer === null ? { x: left + outside.indexOf(row) * 110, y: (roles.length + 1.4) * tall, w: 22 } : { x: left + layer * cell, y: roles.indexOf(role) * tall, w: cell },
  );
  const height = (roles.length + (outside.length ? 2.6 : 1.2)) * tall;
  return (
    <div class="plot" ref={ref}>
      {width > 0 && (
        <svg width={width} height={height} role="img" aria-label={label}>
          {roles.map((role, n) => <text key={role} x={left - 8} y={(n + 0.5) * tall} dy="0.32em" text-anchor="end">{role}</text>)}
          {Array.from({ length: layers }, (_, n) => n).filter((n) => n % Math.ceil(30 / cell) === 0).map((n) => <text key={n} x={left + (n + 0.5) * cell} y={roles.length * tall + 13} text-anchor="middle">{n}</text>)}
          {outside.map((row) => <text key={row} x={places[row].x + 28} y={places[row].y + tall / 2} dy="0.32em">{found.tensors[row].role}</text>)}
          {places.map(({ x, y, w }, row) => {
            const found_ = shade(row);
            return (
              <rect
                key={row}
                data-row={row}
                class={`cell ${found_ ? found_.role : "unknown"}${row === chosen ? " chosen" : ""}${marked?.has(row) ? " marked" : ""}`}
                x={x + 0.5}
                y={y + 0.5}
                width={Math.max(1, w - 1)}
                height={tall - 1}
                style={{ fillOpacity: found_ ? 0.06 + 0.94 * found_.strength : 0, cursor: choose ? "pointer" : undefined }}
                onClick={choose && (() => choose(row))}
              />
            );
          })}
        </svg>
      )}
    </div>
  );
}

function Sensitivity({ found, unit }: { found: Allocation; unit: string }) {
  const counts = found.formats.map((_, level) => found.tensors.filter((_, row) => usable(found, row, level)).length);
  const offered = found.formats.filter((_, level) => counts[level] > found.tensors.length / 4);
  const names = offered.map(({ name }) => name);
  const [name, setName] = useParam("format", names.find((n) => n === "q3_k") ?? names.find((n) => n === "q4_0") ?? names[0], names);
  const level = found.formats.findIndex((f) => f.name === name);
  const [chosen, choose] = useParam("tensor", found.tensors[0].name, found.tensors.map((t) => t.name));
  const row = found.tensors.findIndex((t) => t.name === chosen);
  const costs = found.cost.map((own, at) => (usable(found, at, level) ? own[level]! : NaN));
  const known = costs.filter((one) => one > 0);
  const [low, high] = [Math.log(Math.min(...known)), Math.log(Math.max(...known))];
  const shade = (at: number) => (costs[at] >= 0 ? { role: "error" as const, strength: costs[at] > 0 && high > low ? (Math.log(costs[at]) - low) / (high - low) : 0 } : null);
  const order = costs.map((one, at) => [one, at]).filter(([one]) => one >= 0).sort((a, b) => b[0] - a[0]);
  const rank = order.findIndex(([, at]) => at === row);
  return (
    <Figure title="What a tensor is worth" wide caption="Each shade step is the same factor: the darkest cells hurt many times as much as the palest. Outlined cells were not measured in this format. Click one, or pick it from the list.">
      <Controls>
        <Select id="format" label="Store each tensor, alone, as" options={offered.map((f) => ({ value: f.name, label: `${f.name}: ${short(f.bits_per_weight)} bits` }))} value={name} onChange={setName} />
        <Select id="tensor" label="Tensor" options={found.tensors.map((t) => ({ value: t.name, label: t.name }))} value={chosen} onChange={choose} />
      </Controls>
      <Grid found={found} label={`What ${name} would cost in each tensor. The most sensitive is ${order.length ? found.tensors[order[0][1]].name : "not known"}.`} shade={shade} chosen={row} choose={(at) => choose(found.tensors[at].name)} />
      <Readout
        items={[
          { label: `${chosen} as ${name} adds`, value: costs[row] >= 0 ? `${short(costs[row], 3)} ${unit}` : "not measured", role: "error", id: "tensor-cost" },
          { label: "place", value: rank < 0 ? "none" : `${rank + 1} of ${order.length}`, id: "rank" },
          { label: "its bytes then", value: usable(found, row, level) ? bytes(found.bytes[row][level]) : "none", role: "code" },
        ]}
      />
      <Ladder found={found} row={row} unit={unit} />
    </Figure>
  );
}

/** What every format costs in one tensor. */
function Ladder({ found, row, unit }: { found: Allocation; row: number; unit: string }) {
  const own = found.formats.map((f, level) => ({ ...f, level })).filter(({ level }) => usable(found, row, level) && found.cost[row][level]! > 0);
  if (own.length < 2) return null;
  const sizes = own.map(({ level }) => found.bytes[row][level]);
  const costs = own.map(({ level }) => found.cost[row][level]!);
  return (
    <Plot
      label={`Bytes and cost of ${found.tensors[row].name} in ${own.length} formats`}
      x={{ domain: [0, Math.max(...sizes) * 1.05], label: `bytes of ${found.tensors[row].name}`, text: bytes, ticks: 4 }}
      y={{ domain: [Math.min(...costs) / 2, Math.max(...costs) * 2], kind: "log", label: unit, ticks: [1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10].filter((v) => v > Math.min(...costs) / 2 && v < Math.max(...costs) * 2) }}
      height={190}
      table={{ title: "Its formats", columns: ["format", "bytes", unit], rows: own.map(({ name, level }) => [name, whole(found.bytes[row][level]), short(found.cost[row][level]!, 3)]) }}
    >
      {({ x, y, width }) => {
        let last = -Infinity; // where the last name stands: names that would overlap are left to the table
        return own.map(({ name, level }) => {
          const px = x(found.bytes[row][level]);
          const named = px - last > 52;
          if (named) last = px;
          return (
            <g key={name} transform={`translate(${px},${y(found.cost[row][level]!)})`}>
              <circle class="fill code" r={3.5} />
              {named && <text class="halo" x={px > width - 50 ? -6 : 6} y={-5} text-anchor={px > width - 50 ? "end" : "start"}>{name}</text>}
            </g>
          );
        });
      }}
    </Plot>
  );
}

const POINTS = 48;

function Budget({ found, unit }: { found: Allocation; unit: string }) {
  const prepared = useMemo(() => upgrades(found), [found]);
  const least = bytesOf(found, prepared.hulls.map((own) => own[0]));
  const most = useMemo(() => bytesOf(found, allocate(found, Infinity, prepared, true)!), [found]);
  const levelsOf = (share: number) => allocate(found, Math.floor(least + share * (most - least)), prepared, true)!;
  const curve = useMemo(() => Array.from({ length: POINTS }, (_, n) => levelsOf((n / (POINTS - 1)) ** 1.5)).map((l) => [bytesOf(found, l), costOf(found, l)] as [number, number]), [found]);
  const named = Object.entries(found.presets).map(([name, levels]) => ({ name, levels })).filter(({ levels }) => costOf(found, levels) >= 0);
  const uniforms = found.formats.map(({ name }, level) => ({ name, levels: uniform(found, level), count: found.tensors.filter((_, row) => usable(found, row, level)).length }));
  const whole_ = uniforms.filter(({ count }) => count >= 0.9 * found.tensors.length);
  const start = named.find(({ name }) => name === "q4_k_m") ?? named[0];
  const initial = start ? bytesOf(found, start.levels) : Math.round((least + most) / 2);
  const [budget, setBudget] = useParam("budget", initial);
  const room = Math.min(most, Math.max(least, budget));
  const levels = useMemo(() => allocate(found, room, prepared)!, [found, room]);
  const cost = costOf(found, levels);
  const rivals = [...named.map((one) => ({ ...one, kind: "preset" })), ...whole_.map((one) => ({ ...one, kind: "uniform" }))];
  const under = rivals.filter((one) => bytesOf(found, one.levels) <= room).sort((a, b) => costOf(found, a.levels) - costOf(found, b.levels));
  const preset = under.find(({ kind }) => kind === "preset");
  const same = under.find(({ kind }) => kind === "uniform");
  const top = Math.max(...curve.map(([, c]) => c).filter((c) => c > 0));
  const bottom = Math.min(...curve.map(([, c]) => c).filter((c) => c > 0));
  const bits = found.formats.map((f) => f.bits_per_weight);
  const [fewest, manyest] = [Math.min(...bits), Math.max(...bits.filter((b) => b <= 9))];
  const shade = (row: number) => ({ role: "code" as const, strength: Math.min(1, Math.max(0, (bits[levels[row]] - fewest) / (manyest - fewest))) });
  const step = Math.max(1, Math.round((most - least) / 400));
  const drag = (event: PointerEvent & { currentTarget: Element }, invertX: (pixel: number) => number) =>
    setBudget(Math.round(Math.min(most, Math.max(least, invertX(event.clientX - event.currentTarget.getBoundingClientRect().left)))));
  const used = bytesOf(found, levels);
  return (
    <Figure
      title="Drag the budget"
      wide
      caption={`The line is the best that can be done with each number of bytes, if damages add up. Squares: llama.cpp's file types. Rings: one format for all. All of them choose their codes in the same way. Both axes count the tensors that are quantized, ${found.tensors.length} of them.`}
    >
      <p>
        With <Scrub id="budget-text" label="Bytes of the tensors" value={room} min={least} max={most} step={step} pixels={3} onInput={setBudget} text={bytes} />, the model is expected to lose{" "}
        <strong class="fg-error"><output data-value="cost" data-exact={cost}>{short(cost, 4)}</output> {unit}</strong>.
      </p>
      <Controls>
        <Slider id="budget" label="Budget" min={least} max={most} step={step} value={room} onInput={setBudget} text={bytes} />
        <div class="chips" role="group" aria-label="As many bytes as">
          {named.filter(({ levels: own }) => bytesOf(found, own) <= most).map(({ name, levels: own }) => <Button key={name} id={`as-${name}`} onClick={() => setBudget(bytesOf(found, own))}>as {name}</Button>)}
        </div>
      </Controls>
      <Plot
        label={`Bytes against expected damage. With ${bytes(room)} it is ${short(cost, 3)} ${unit}.`}
        x={{ domain: [least * 0.97, most * 1.03], label: "bytes of the quantized tensors", text: bytes, ticks: 5 }}
        y={{ domain: [bottom / 1.5, top * 1.5], kind: "log", label: unit, ticks: [1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100].filter((v) => v > bottom / 1.5 && v < top * 1.5) }}
        height={300}
        table={{ title: "Compared", columns: ["file", "bytes", unit, "divided well, same bytes"], rows: rivals.map((one) => { const own = allocate(found, bytesOf(found, one.levels), prepared, true); return [one.kind === "preset" ? one.name : `${one.name} for all`, whole(bytesOf(found, one.levels)), short(costOf(found, one.levels), 3), own ? short(costOf(found, own), 3) : ""]; }) }}
      >
        {({ x, y, invertX, width, height }) => (
          <>
            <path class="stroke code" d={path(curve.filter(([, c]) => c > 0).map(([b, c]) => [x(b), y(c)]))} />
            {rivals.filter((one) => costOf(found, one.levels) > 0).map((one) => {
              const [px, py] = [x(bytesOf(found, one.levels)), y(costOf(found, one.levels))];
              return (
                <g key={one.kind + one.name}>
                  {one.kind === "preset" ? <rect class="fill reference" x={px - 4} y={py - 4} width={8} height={8} /> : <circle class="stroke reference plain" cx={px} cy={py} r={4} />}
                  {one.kind === "preset" && <text class="halo" x={px > width - 50 ? px - 8 : px + 7} y={py - 6} text-anchor={px > width - 50 ? "end" : "start"}>{one.name}</text>}
                </g>
              );
            })}
            <line class="stroke error" x1={x(room)} x2={x(room)} y2={height} />
            {cost > 0 && <circle class="fill error" cx={x(used)} cy={y(cost)} r={6} />}
            <rect width={width} height={height} fill="transparent" style={{ cursor: "ew-resize", touchAction: "pan-y" }}
              onPointerDown={(event) => (event.currentTarget.setPointerCapture(event.pointerId), drag(event, invertX))}
              onPointerMove={(event) => event.buttons && drag(event, invertX)} />
          </>
        )}
      </Plot>
      <h3>Who gets how many</h3>
      <Grid found={found} label={`Bits per weight of each tensor at ${bytes(room)}: ${tally(found, levels)}`} shade={shade} />
      <Readout
        items={[
          { label: "bytes used", value: whole(used), role: "code", id: "used" },
          { label: "left over", value: `${whole(room - used)} B`, id: "left" },
          ...(preset ? [{ label: `${preset.name}, the best preset that fits`, value: `${short(costOf(found, preset.levels) / cost, 3)} × as much damage`, role: "reference" as const, id: "preset" }] : []),
          ...(same ? [{ label: `${same.name} for all`, value: `${short(costOf(found, same.levels) / cost, 3)} × as much`, role: "reference" as const, id: "uniform" }] : []),
        ]}
      />
      <p class="aside">{tally(found, levels)}</p>
    </Figure>
  );
}

function tally(found: Allocation, levels: number[]): string {
  const counts = found.formats.map((f, level) => ({ name: f.name, count: levels.filter((one) => one === level).length }));
  return counts.filter(({ count }) => count).map(({ name, count }) => `${count} in ${name}`).join(", ");
}

const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** A candidate's loss relative to the first one's on the same chunks: 0 is as good, below is better. */
function relative(tried: Tried[], one: Tried): number {
  const first = new Map(tried[0].chunks.map((chunk, n) => [chunk, tried[0].scores[n]]));
  const base = one.chunks.map((chunk) => first.get(chunk) ?? NaN);
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  return sum(one.scores) / sum(base) - 1;
}

function Replay({ found, unit }: { found: Allocation; unit: string }) {
  const { tried } = found;
  const generations = Math.max(...tried.map((one) => one.generation));
  const [given, setGeneration] = useParam("generation", generations);
  const generation = Math.min(given, generations);
  const upTo = tried.map((one, n) => ({ ...one, n, y: relative(tried, one) })).filter((one) => one.generation <= generation);
  const [picked, pick] = useParam("candidate", -1);
  const incumbent = upTo.reduce((best, one) => (one.outcome === "accepted" ? one.n : best), 0);
  const shown = picked >= 0 && picked < upTo.length ? picked : incumbent;
  const one = tried[shown];
  const parent = tried[one.parent];
  const levels = [...one.levels].map((digit) => DIGITS.indexOf(digit));
  const before = [...parent.levels].map((digit) => DIGITS.indexOf(digit));
  const changed = new Set(shown ? levels.flatMap((level, row) => (level === before[row] ? [] : [row])) : []);
  const lineage = [shown];
  while (lineage[0]) lineage.unshift(tried[lineage[0]].parent);
  const ys = tried.map((each) => relative(tried, each)).filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...ys), Math.max(0.02, ...ys)];
  const [close, setClose] = useParam("close", false);
  const reach = close ? low * 0.85 : Math.max(-0.15 * low, Math.min(high, Math.max(0.1, -2 * low))); // far worse ones are drawn at the top
  const bottom = low * (close ? 1.03 : 1.15) - 0.002;
  const expected = costOf(found, levels);
  const bits = found.formats.map((f) => f.bits_per_weight);
  const [fewest, most] = [Math.min(...bits), Math.max(...bits.filter((b) => b <= 9))];
  const mean = one.scores.reduce((a, b) => a + b, 0) / one.scores.length;
  return (
    <Figure
      title="The search, generation by generation"
      wide
      caption={`Each dot is a candidate, measured on the model; lower is better. Filled: it replaced the best so far. Most offspring are worse, and are dropped after a few chunks of text. ${percent(Math.abs(relative(tried, tried[found.best])), 1)} is what the search gained on the text it was measured on; on other text expect less.`}
    >
      <Controls>
        <Slider id="generation" label="Generation" min={0} max={generations} step={1} value={generation} onInput={(n) => (setGeneration(n), pick(-1))} text={(n) => `${n} of ${generations}`} />
        <Slider id="candidate" label="Candidate" min={0} max={upTo.length - 1} step={1} value={shown} onInput={pick} text={(n) => `${n} of ${upTo.length - 1}`} />
        <Toggle id="close" label="Close up of the best" value={close} onChange={setClose} />
        <Button id="next-generation" disabled={generation >= generations} onClick={() => (setGeneration(generation + 1), pick(-1))}>Next generation</Button>
      </Controls>
      <Plot
        label={`${upTo.length} candidates of ${generation} generations; the best is ${percent(-relative(tried, tried[incumbent]), 1)} better than the first`}
        x={{ domain: [-0.5, tried.length - 0.5], label: "candidates, in the order in which they were measured" }}
        y={{ domain: [bottom, close ? reach : reach * 1.05], label: "loss, compared with the first", text: (v) => percent(v, close ? 1 : 0), ticks: 5 }}
        height={260}
        table={{ title: "The candidates", columns: ["number", "generation", "parent", "proposed by", "chunks", "compared with the first", "outcome"], rows: upTo.map((each) => [String(each.n), String(each.generation), String(each.parent), each.origin, String(each.chunks.length), percent(each.y, 2), each.outcome]) }}
      >
        {({ x, y, invertX }) => (
          <>
            <line class="axis" x1={x(-0.5)} x2={x(tried.length)} y1={y(0)} y2={y(0)} />
            <path class="stroke reference" d={path(lineage.map((n) => [x(n), y(Math.min(reach, relative(tried, tried[n])))]))} />
            {upTo.map((each) => (
              <circle key={each.n} class={`${each.outcome === "accepted" || each.outcome === "seed" ? "fill" : "stroke plain"} code${each.n === shown ? " chosen" : ""}`} cx={x(each.n)} cy={y(Math.min(each.y, reach))} r={each.n === shown ? 7 : 4} />
            ))}
            <rect x={x(-0.5)} width={x(tried.length - 0.5)} height={y(bottom)} fill="transparent" style={{ cursor: "pointer" }}
              onClick={(event) => pick(Math.min(upTo.length - 1, Math.max(0, Math.round(invertX(event.clientX - event.currentTarget.getBoundingClientRect().left)))))} />
          </>
        )}
      </Plot>
      <Readout
        items={[
          { label: "measured", value: `${short(mean, 4)} ${unit} on ${one.chunks.length} chunks`, role: "error", id: "score" },
          ...(Number.isFinite(expected) ? [{ label: "expected by adding up", value: `${short(expected, 4)} ${unit}`, id: "expected" }] : []),
          { label: "compared with the first", value: percent(relative(tried, one), 2), role: "error", id: "relative" },
          { label: "proposed by", value: one.origin, id: "origin" },
          { label: "outcome", value: one.outcome, id: "outcome" },
          { label: "lineage", value: lineage.join(" → "), role: "reference", id: "lineage" },
        ]}
      />
      <h3>Its tensors</h3>
      <Grid found={found} label={`Bits of each tensor in candidate ${shown}; ${changed.size} differ from its parent`} shade={(row) => ({ role: "code", strength: Math.min(1, Math.max(0, (bits[levels[row]] - fewest) / (most - fewest))) })} marked={changed} />
      {changed.size > 0 && (
        <p class="aside" data-value="changes">
          Compared with its parent: {[...changed].slice(0, 8).map((row) => `${found.tensors[row].name} ${found.formats[before[row]].name} → ${found.formats[levels[row]].name}`).join("; ")}
          {changed.size > 8 && `; and ${changed.size - 8} more`}.
        </p>
      )}
    </Figure>
  );
}
