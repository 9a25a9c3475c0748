/** Several files side by side. */
import { Figure } from "../components/chapter";
import { Choice, Toggle } from "../components/controls";
import { DataTable, Plot } from "../components/plot";
import { bytes, short } from "../numbers";
import { useParam } from "../state";
import { Attribution, decades, Heat, Quantiles, SurvivalOf, ten } from "./evaluation";
import { apart, Badge, Legend, TONES } from "./lines";
import type { Comparison, Contender } from "./types";
import { fixed, nats, span } from "./words";

export function CompareParts({ report }: { report: Comparison }) {
  const measured = report.models.filter((m) => m.kl_divergence && !m.is_reference);
  const names = measured.filter((m) => m.heat || m.attribution?.length).map((m) => m.model.name);
  const [shown, show] = useParam("of", names[0] ?? "", names);
  const one = measured.find((m) => m.model.name === shown);
  return (
    <>
      <Front report={report} />
      <Ranking report={report} />
      <Pairs report={report} />
      <Quantiles models={measured} />
      <SurvivalOf models={measured} />
      {one && names.length > 1 && (
        <Choice id="of" label="One of them, token by token" options={names.map((name) => ({ value: name, label: name }))} value={shown} onChange={show} />
      )}
      {one && <Attribution report={one} name={shown} />}
      {one && <Heat key={shown} report={one} name={shown} />}
    </>
  );
}

const byBits = (report: Comparison) => report.measure === "bits per byte";

/** The figure that ranks the models. */
function lost(report: Comparison, m: Contender) {
  if (byBits(report)) return m.bits_per_byte;
  return m.is_reference ? { mean: 0, low: null, high: null } : (m.kl_divergence ?? null);
}

function Front({ report }: { report: Comparison }) {
  const [cost, setCost] = useParam<"bytes" | "speed">("cost", "bytes", ["bytes", "speed"]);
  const [zero, setZero] = useParam("zero", true);
  const places = report.models.map((m) => (cost === "bytes" ? m.model.file_bytes / 1e6 : m.tokens_per_second));
  const values = report.models.map((m) => lost(report, m));
  const positive = values.flatMap((v) => (v ? [v.mean, v.low ?? v.mean, v.high ?? v.mean] : [])).filter((v) => v > 0);
  const log = !byBits(report);
  const least = Math.min(...positive);
  const low = log ? least / 3 : least - 0.05 * (Math.max(...positive) - least); // where a loss of 0 lies, too
  const floored = (v: number) => (log ? Math.max(v, low) : v);
  const front = report.models
    .map((m, n) => ({ name: m.model.name, at: places[n], value: values[n]?.mean ?? NaN }))
    .filter((p) => report.front[cost].includes(p.name))
    .sort((a, b) => a.at - b.at);
  const from = zero ? 0 : Math.min(...places) * 0.95;
  const text = byBits(report) ? fixed(4) : nats;
  const paid = (m: Contender) => (cost === "bytes" ? bytes(m.model.file_bytes) : `${m.tokens_per_second.toFixed(1)} tokens/s`);
  const said = (m: Contender, n: number) =>
    `${m.model.name}: ${paid(m)}, ${m.is_reference && log ? "the reference" : values[n] ? `${text(values[n]!.mean)} ${log ? "nats" : "bits/byte"}` : "other tokenizer"}`;
  return (
    <Figure
      title={cost === "bytes" ? "Quality against bytes" : "Quality against speed"}
      wide
      caption={`Lower is better. Whiskers span the intervals${cost === "speed" ? " and the timings" : ""}. On the front, joined by a line: ${report.front[cost].join(", ")}.`}
    >
      <div class="controls">
        <Choice id="cost" label="Against" options={[{ value: "bytes", label: "bytes" }, { value: "speed", label: "speed" }]} value={cost} onChange={setCost} />
        <Toggle id="zero" label="axis from zero" value={zero} onChange={setZero} />
      </div>
      <Plot
        label={`${report.measure} by ${cost}. ${report.models.map(said).join("; ")}`}
        x={{ domain: [from, Math.max(...places) * 1.06], label: cost === "bytes" ? "file, MB" : "tokens decoded per second" }}
        y={{
          domain: [log ? low / 1.3 : low, Math.max(...positive) * (log ? 1.5 : 1.02)],
          kind: log ? "log" : "linear",
          label: log ? "KL divergence, nats" : "bits per byte",
          ...(log ? { ticks: decades(positive), text: ten } : {}),
        }}
        height={340}
      >
        {({ x, y, width, height }) => {
          const points = report.models.map((_, n): [number, number] => [x(places[n]), values[n] ? y(floored(values[n]!.mean)) : NaN]);
          const shown = points.filter(([, py]) => Number.isFinite(py));
          const badges = apart(shown, width, height);
          return (
          <>
            <path class="joined" d={`M${front.map((p) => `${x(p.at)},${y(floored(p.value))}`).join("L")}`} />
            {report.models.map((m, n) => {
              const value = values[n];
              if (!value) return null;
              const [px, py] = points[n];
              return (
                <g key={m.model.name} class={`tone t${n % TONES}`}>
                  {value.low !== null && value.high !== null && <path class="whisker" d={`M${px},${y(floored(value.low))}V${y(floored(value.high))}`} />}
                  {cost === "speed" && <path class="whisker" d={`M${x(m.slowest)},${py}H${x(m.fastest)}`} />}
                  <Badge number={n + 1} point={points[n]} at={badges[shown.indexOf(points[n])]} />
                </g>
              );
            })}
          </>
          );
        }}
      </Plot>
      <Legend numbers names={report.models.map(said)} />
    </Figure>
  );
}

function Ranking({ report }: { report: Comparison }) {
  const bits = byBits(report);
  const rows = report.models.map((m) => {
    const own = span(m.bits_per_byte, fixed(4));
    const divergence: [string, string] = m.is_reference ? ["0", "the reference"] : m.kl_divergence ? span(m.kl_divergence, nats) : ["", "other tokenizer"];
    const quality = bits ? [divergence[0], ...own] : [...divergence, own[0]];
    return [m.model.name, bytes(m.model.file_bytes), m.model.bits_per_weight.toFixed(2), ...quality, m.tokens_per_second.toFixed(1), `${m.slowest.toFixed(1)} to ${m.fastest.toFixed(1)}`];
  });
  const measures = bits ? [">KL, nats", ">bits/byte", ">95%"] : [">KL, nats", ">95%", ">bits/byte"];
  return (
    <Figure title="Models, best first" wide>
      <DataTable title="Models, best first" columns={["model", ">file", ">bits/weight", ...measures, ">tokens/s", ">timings"]} rows={rows} />
    </Figure>
  );
}

function Pairs({ report }: { report: Comparison }) {
  const left = new Set(byBits(report) ? [] : report.models.filter((m) => m.is_reference).map((m) => m.model.name)); // nothing is nearer the reference than itself
  const rows = report.pairs.filter((p) => !left.has(p.first)).map((p) => [p.first, p.verdict, p.second, ...span(p.difference, byBits(report) ? short : nats)]);
  if (!rows.length) return null;
  return (
    <Figure title="Pair by pair" wide>
      <DataTable title="Pairs of models" columns={["model", "is", "than", `>difference in ${report.measure}`, ">95% interval"]} rows={rows} />
    </Figure>
  );
}
