/** A report of `bitwright eval` or `compare`: the same in the explorer and in the page that they write. */
import { CompareParts } from "./compare";
import { EvaluationParts } from "./evaluation";
import { HorizonParts } from "./horizon";
import { DataTable } from "../components/plot";
import { bytes } from "../numbers";
import { isComparison, isHorizon, type Contender, type Report } from "./types";

export function ReportBody({ report }: { report: Report }) {
  return (
    <div class="report">
      <Verdict report={report} />
      {isComparison(report) ? <CompareParts report={report} /> : isHorizon(report) ? <HorizonParts report={report} /> : <EvaluationParts report={report} />}
      <Provenance report={report} />
    </div>
  );
}

function Verdict({ report }: { report: Report }) {
  const headline = isComparison(report) ? report.headline : `${report.model.name}: ${report.headline}`;
  return (
    <section class="verdict" aria-label="Result">
      <p class="headline">{headline}</p>
      {(report.words ?? []).map((words) => (
        <p key={words}>{words}</p>
      ))}
      {warnings(report).map((text) => (
        <p key={text} class="warning">{text}</p>
      ))}
    </section>
  );
}

/** Each warning once, with the names of the models that it is about unless it is about all. */
export function warnings(report: Report): string[] {
  const models = (isComparison(report) ? report.models : [report as Partial<Contender>]).filter((m) => !m.is_reference);
  const about = new Map<string, string[]>();
  for (const { model, warnings = [] } of models) for (const text of warnings) about.set(text, [...(about.get(text) ?? []), model!.name]);
  return [...about].map(([text, names]) => (names.length === models.length ? `Warning: ${text}.` : `Warning, ${names.join(", ")}: ${text}.`));
}

const NAMES: Record<string, string> = { kv: "key-value cache", text_sha256: "SHA-256 of the text", peak_memory_bytes: "peak memory" };

function Provenance({ report }: { report: Report }) {
  const shown = (key: string, value: string | number) =>
    key === "peak_memory_bytes" ? bytes(Number(value)) : key === "seconds" ? Number(value).toFixed(1) : String(value);
  const models = isComparison(report) ? report.models : [report];
  const rows = [
    ...Object.entries(report.about ?? {}).map(([key, value]) => [NAMES[key] ?? key, shown(key, value)]),
    ...models.map(({ model }) => [`SHA-256 of ${model.name}`, model.sha256]),
  ];
  return (
    <section>
      <h2>How this was made</h2>
      <DataTable title="How this was made" columns={["what", "value"]} rows={rows} wrap />
      <details class="numbers">
        <summary>Everything as JSON</summary>
        <pre tabIndex={0} role="region" aria-label="The report as JSON">
          {JSON.stringify(report, null, 1)}
        </pre>
      </details>
    </section>
  );
}
