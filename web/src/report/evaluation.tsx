/** One file against its original. */
import { useState } from "preact/hooks";
import { Figure } from "../components/chapter";
import { DataTable, Plot } from "../components/plot";
import { bytes, percent, short } from "../numbers";
import { Legend, Lines, tableOf, type Line } from "./lines";
import { useParam } from "../state";
import type { Evaluation, Interval, Side } from "./types";
import { fixed, nats, span } from "./words";

export function EvaluationParts({ report }: { report: Evaluation }) {
  return (
    <>
      <Measures report={report} />
      <Quantiles models={[report]} />
      <SurvivalOf models={[report]} />
      <Partings report={report} />
      <Growth report={report} />
      <Attribution report={report} />
      <Heat report={report} />
      <Floor report={report} />
      <AsPrinted report={report} />
    </>
  );
}

function Measures({ report: r }: { report: Evaluation }) {
  const k = r.kl_divergence;
  const share = fixed(2, 100);
  const rows: [string, string, string][] = [
    ["KL divergence, nats", ...span(k, nats)],
    ["same likeliest token, %", ...span(r.same_top1_interval, share)],
    ["right to wrong, %", ...span(r.flips.right_to_wrong, share)],
    ["wrong to right, %", ...span(r.flips.wrong_to_right, share)],
    ["ln(perplexity / reference's)", ...span(r.log_perplexity_ratio, fixed(4))],
    ["bits per byte of text", ...span(r.bits_per_byte, fixed(4))],
    ["perplexity", r.perplexity.mean.toFixed(4), `reference ${r.base_perplexity.mean.toFixed(4)}`],
  ];
  const sure = k.low === null ? "no intervals, too few" : `95% intervals, resampled over ${k.clusters}`;
  return (
    <Figure
      title="Measures"
      wide
      caption={`${r.tokens_scored} tokens scored in ${r.chunks} chunks of ${r.context}; ${sure} ${k.of}. ${stored(r)}`}
    >
      <DataTable title="Measures" columns={["measure", ">mean", ">95% interval"]} rows={rows} />
    </Figure>
  );
}

/** What storing the reference's predictions compactly does to the divergence. */
function stored({ kl_divergence: k, noise_floor: floor }: Evaluation): string {
  if (!k.storage_error) return "The reference's predictions are stored in full: nothing is lost by storing them.";
  const share = `${((100 * k.storage_error) / k.mean).toFixed(2)}% of it`;
  const compared = floor?.kl_divergence ? `, ${short(k.storage_error / floor.kl_divergence, 2)} times the noise floor of ${nats(floor.kl_divergence)}` : "";
  return `Storing the reference's predictions compactly adds a standard error of ${nats(k.storage_error)} nats: ${share}${compared}.`;
}

type Named = Pick<Evaluation, "model"> & Partial<Evaluation>;

export function Quantiles({ models }: { models: Named[] }) {
  const known = models.filter((m) => m.kl_divergence);
  if (!known.length) return null;
  const lines: Line[] = known.map((m) => ({ name: m.model.name, points: m.kl_divergence!.quantiles.map(([q, v]) => [q, Math.max(v, 1e-9)]) }));
  const values = lines.flatMap((line) => line.points.map(([, v]) => v));
  const floor = known.find((m) => m.noise_floor)?.noise_floor?.kl_divergence || null;
  return (
    <Figure title="Divergence of single tokens" wide caption="Quantiles: this share of the scored tokens diverges by less than shown.">
      <Plot
        label={`KL divergence in nats by share of tokens: ${lines.map((l) => `${l.name}: median ${nats(median(l))}`).join("; ")}`}
        x={{ domain: [0, 1], label: "share of tokens", text: (v) => percent(v, 0) }}
        y={{ domain: [Math.min(...values, floor ?? Infinity) / 1.5, Math.max(...values) * 1.5], kind: "log", label: "KL divergence, nats", ticks: decades(values), text: ten }}
        height={300}
        table={tableOf("The quantiles", "share of tokens", lines, (v) => percent(v, 1))}
      >
        {(scales) => (
          <>
            {floor && <NoiseFloor at={scales.y(floor)} width={scales.width} />}
            <Lines lines={lines} scales={scales} />
          </>
        )}
      </Plot>
      {lines.length > 1 && <Legend names={lines.map((line) => line.name)} />}
    </Figure>
  );
}

const median = (line: Line) => line.points.find(([share]) => share >= 0.5)?.[1] ?? NaN;

function NoiseFloor({ at, width }: { at: number; width: number }) {
  return (
    <>
      <line class="stroke reference" x2={width} y1={at} y2={at} />
      <text x={width - 4} y={at - 5} text-anchor="end">noise floor</text>
    </>
  );
}

/** Powers of ten around values, every second or third one if there are many. */
export function decades(values: number[]): number[] {
  const [low, high] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
  const every = Math.ceil((high - low) / 6);
  return Array.from({ length: high - low + 1 }, (_, n) => low + n).filter((n) => n % every === 0).map((n) => 10 ** n);
}

export const ten = (value: number) => (value >= 0.001 && value <= 1000 ? String(Number(value.toPrecision(2))) : value.toExponential(0));

export function SurvivalOf({ models }: { models: Named[] }) {
  const lines: Line[] = models
    .filter((m) => m.first_divergence)
    .map((m) => ({ name: m.model.name, points: m.first_divergence!.survival, band: m.first_divergence!.band, steps: true }));
  return lines.length ? (
    <SurvivalPlot lines={lines} title="Survival" caption="Greedy texts that still equal the reference's, token for token. The shade is the 95% interval." />
  ) : null;
}

export function SurvivalPlot({ lines, title, caption }: { lines: Line[]; title: string; caption: string }) {
  const last = Math.max(...lines.flatMap((line) => line.points.map(([at]) => at)));
  return (
    <Figure title={title} wide caption={caption}>
      <Plot
        label={`Share of texts still the same by tokens written: ${lines.map((l) => `${l.name}: ${percent(l.points.at(-1)![1], 0)} after ${l.points.at(-1)![0]}`).join("; ")}`}
        x={{ domain: [0, last], label: "tokens written" }}
        y={{ domain: [0, 1], label: "texts still the same", text: (v) => percent(v, 0) }}
        height={280}
        table={tableOf("The curves", "tokens", lines)}
      >
        {(scales) => <Lines lines={lines} scales={scales} />}
      </Plot>
      {lines.length > 1 && <Legend names={lines.map((line) => line.name)} />}
    </Figure>
  );
}

function Partings({ report }: { report: Evaluation }) {
  const examples = report.free_running?.examples ?? [];
  if (!examples.length) return null;
  return (
    <section>
      <h2>Where the texts part</h2>
      {examples.map((e, n) => (
        <div key={n} class="parting">
          <p>after token {e.step}: …{e.before}</p>
          <div class="pair">
            {(["reference", "candidate"] as const).map((side) => (
              <p key={side}>
                <b>{side}</b>
                <br />
                {e[side]}…
              </p>
            ))}
          </div>
        </div>
      ))}
    </section>
  );
}

function Growth({ report }: { report: Evaluation }) {
  const found = report.free_running;
  const rows = (found?.kl_by_horizon ?? []).slice(0, -1); // the last row is of all steps
  if (!found || !rows.length) return null;
  const names = { reference_path: "on the reference's texts", own_path: "on its own texts" };
  const lines: Line[] = (Object.keys(names) as (keyof typeof names)[]).map((key) => ({
    name: names[key],
    points: rows.map((row) => [(row.first + row.last) / 2, row[key].value ?? NaN]),
    band: rows.map((row) => [(row.first + row.last) / 2, row[key].low, row[key].high]),
  }));
  const top = Math.max(...lines.flatMap((l) => [...l.points.map(([, v]) => v), ...l.band!.map((b) => b[2] ?? 0)]).filter(Number.isFinite));
  const a = found.amplification;
  const sure = a.low === null || a.high === null ? "too few documents for an interval" : `${a.low.toFixed(2)} to ${a.high.toFixed(2)}`;
  return (
    <Figure
      title="Divergence by horizon"
      wide
      caption={`On its own texts the divergence is ${(a.value ?? NaN).toFixed(2)} times that on the reference's (${sure}): above 1, errors feed on themselves.`}
    >
      <Plot
        label="KL divergence in nats by tokens written, on the reference's texts and on the candidate's own"
        x={{ domain: [0, rows.at(-1)!.last], label: "tokens written" }}
        y={{ domain: [0, top], label: "KL divergence, nats" }}
        height={280}
        table={tableOf("The curves", "tokens", lines)}
      >
        {(scales) => <Lines lines={lines} scales={scales} />}
      </Plot>
      <Legend names={lines.map((line) => line.name)} />
    </Figure>
  );
}

const CAUSES: Record<string, string> = {
  source: "Sources of error, each alone and all together (activations: compared with the same weights in floats).",
  tensors: "The reference with one kind of tensor quantized and the others unchanged.",
};

export function Attribution({ report, name }: { report: Named; name?: string }) {
  const kinds = Object.keys(CAUSES).filter((kind) => report.attribution?.some((a) => a.kind === kind));
  if (!kinds.length) return null;
  return (
    <section>
      <h2>Where the error comes from{name && `: ${name}`}</h2>
      {kinds.map((kind) => {
        const rows = report.attribution!.filter((a) => a.kind === kind).map((a) => ({ name: a.bytes ? `${a.name} (${bytes(a.bytes)})` : a.name, value: a.divergence }));
        return (
          <Figure key={kind} title={kind === "source" ? "By source" : "By kind of tensor"} wide caption={CAUSES[kind]}>
            <Bars rows={rows} what="KL divergence, nats" />
          </Figure>
        );
      })}
    </section>
  );
}

/** Bars from zero with whiskers, the names above them: readable at any width. */
function Bars({ rows, what }: { rows: { name: string; value: Interval }[]; what: string }) {
  const ends = rows.flatMap(({ value }) => [value.mean, value.low ?? 0, value.high ?? 0]);
  const tall = 34;
  return (
    <Plot
      label={`${what}. ${rows.map(({ name, value }) => `${name}: ${nats(value.mean)}`).join("; ")}`}
      x={{ domain: [Math.min(0, ...ends), Math.max(...ends)], label: what, grid: true }}
      height={rows.length * tall + 52}
      table={{ title: "The numbers", columns: ["what", ">nats", ">95% interval"], rows: rows.map(({ name, value }) => [name, ...span(value, nats)]) }}
    >
      {({ x }) =>
        rows.map(({ name, value }, n) => (
          <g key={name} transform={`translate(0,${n * tall})`}>
            <text x={x(0) + 2} y={12} class="label halo">{name}</text>
            <rect class="fill error wash" x={Math.min(x(0), x(value.mean))} y={17} width={Math.abs(x(value.mean) - x(0))} height={12} />
            {value.low !== null && value.high !== null && <path class="whisker" d={`M${x(value.low)},19v8m0,-4H${x(value.high)}m0,-4v8`} />}
          </g>
        ))
      }
    </Plot>
  );
}

/** One chunk token by token. The chosen token's two distributions stand below. */
export function Heat({ report, name }: { report: Named; name?: string }) {
  const [given, set] = useParam("token", -1);
  const [hover, setHover] = useState<number | null>(null); // stays when the pointer leaves
  const heat = report.heat;
  if (!heat) return null;
  const chosen = hover ?? (given in heat.tokens ? given : null);
  const choose = (n: number) => (setHover(null), set(n));
  return (
    <Figure
      title={`Token by token${name ? `: ${name}` : ""}`}
      wide
      caption={`Chunk ${heat.chunk}, where the mean divergence is largest. The stronger a token's colour, the larger its divergence. Point at a token, tap it, or walk with the arrow keys.`}
    >
      <p
        class="heat"
        role="listbox"
        tabIndex={0}
        aria-label="Tokens of the chunk"
        aria-activedescendant={chosen === null ? undefined : `token-${report.model.name}-${chosen}`}
        onKeyDown={(event) => {
          const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
          if (!by) return;
          event.preventDefault();
          choose(Math.min(heat.tokens.length - 1, Math.max(0, (chosen ?? -1) + by)));
        }}
      >
        {heat.tokens.map((token, n) => (
          <span
            key={n}
            id={`token-${report.model.name}-${n}`}
            role="option"
            aria-selected={n === chosen}
            aria-label={token.text.trim() ? undefined : `space ${JSON.stringify(token.text)}`}
            class={`h${strength(token.kl)}`}
            onPointerEnter={() => setHover(n)}
            onClick={() => choose(n)}
          >
            {token.text || "·"}
          </span>
        ))}
      </p>
      <div class="seen" aria-live="polite">{chosen === null ? <p class="aside">No token is chosen.</p> : <Seen token={heat.tokens[chosen]} />}</div>
    </Figure>
  );
}

const SHADES = 8;
export const strength = (kl: number) => Math.round(SHADES * Math.min(1, Math.sqrt(Math.max(kl, 0) / 2)));

function Seen({ token }: { token: Side }) {
  return (
    <>
      <p>
        <code>{JSON.stringify(token.text)}</code>: {nats(token.kl)} nats
      </p>
      <div class="pair">
        {(["reference", "candidate"] as const).map(
          (side) =>
            token[side] && (
              <ol key={side} class="likeliest" aria-label={`The ${side}'s likeliest tokens`}>
                <b>{side}</b>
                {token[side]!.map(([text, p], n) => (
                  <li key={n}>
                    <span>{percent(p)}</span> <code>{JSON.stringify(text)}</code>
                  </li>
                ))}
              </ol>
            ),
        )}
      </div>
    </>
  );
}

function Floor({ report }: { report: Evaluation }) {
  const found = report.noise_floor;
  if (!found) return null;
  const rows = found.variations.map((v) => [v.name, nats(v.kl_divergence), `${(100 * v.same_top1).toFixed(2)}%`, String(v.tokens)]);
  return (
    <Figure title="Noise floor" wide caption={`The reference compared with itself, computed in other ways. The candidate: ${found.verdict}.`}>
      <DataTable title="Noise floor" columns={["computed with", ">KL, nats", ">same top", ">tokens"]} rows={rows} />
    </Figure>
  );
}

function AsPrinted({ report }: { report: Evaluation }) {
  const rows = report.statistics.map((s) => [s.name, s.value === null ? "" : s.value.toFixed(6), s.error === null ? "" : `± ${s.error.toFixed(6)}`, s.unit]);
  return (
    <Figure
      title="As llama-perplexity prints it"
      wide
      caption="± is llama-perplexity's: the standard error if tokens were independent, which they are not."
    >
      <DataTable title="What llama-perplexity prints" columns={["statistic", ">value", ">±", "unit"]} rows={rows} />
    </Figure>
  );
}
