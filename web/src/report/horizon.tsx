/** One file on the horizon suite. */
import { Figure } from "../components/chapter";
import { DataTable } from "../components/plot";
import { SurvivalPlot } from "./evaluation";
import type { Horizon, Part } from "./types";
import { fixed, nats, span } from "./words";

export function HorizonParts({ report }: { report: Horizon }) {
  return (
    <>
      <Kinds report={report} />
      <SurvivalPlot
        lines={Object.entries(report.horizon).map(([name, part]) => ({
          name,
          points: part.first_divergence.survival,
          band: name === "all" ? part.first_divergence.band : [],
          steps: true,
        }))}
        title="Survival"
        caption="Texts that still equal the original's, token for token; the band is the interval of all."
      />
      <Margins report={report} />
      <Endings report={report} />
    </>
  );
}

function Kinds({ report: { suite, horizon } }: { report: Horizon }) {
  const row = (name: string, part: Part) => [
    name,
    ...span(part.identical, fixed(1, 100)),
    ...span(part.aligned, fixed(1)),
    ...span(part.kl_divergence, nats),
    (100 * part.same_top1.mean).toFixed(1),
  ];
  const rows = [
    ...Object.entries(horizon).map(([name, part]) => row(name, part)),
    ...horizon.all.floors.map((floor) => row(`the original, ${floor.name}`, floor)),
  ];
  return (
    <Figure
      title="How long it stays with the original"
      wide
      caption={`${suite.prompts} prompts of ${suite.name}, ${suite.steps} greedy tokens after each. Aligned: tokens before the first that differs. KL and same top: over all tokens of the original's texts. 95% intervals over prompts.`}
    >
      <DataTable
        title="Horizon by kind of prompts"
        columns={["prompts", ">identical, %", ">95%", `>aligned of ${suite.steps}`, ">95%", ">KL, nats", ">95%", ">same top, %"]}
        rows={rows}
      />
    </Figure>
  );
}

function Margins({ report: { horizon } }: { report: Horizon }) {
  const { margins, first_divergence: first } = horizon.all;
  if (!first.events) return null;
  const share = (value: number | null) => (value === null ? "" : `${(100 * value).toFixed(0)}%`);
  const noise = `within the original's own noise (a lead below ${Number((first.tie ?? NaN).toPrecision(2))} nats)`;
  return (
    <Figure
      title="Where the texts part"
      wide
      caption={`The original's lead of its token over its second choice: if small, a coin toss; if large, a loss. Of ${first.events} partings, ${margins.near_ties} are ${noise}.`}
    >
      <DataTable
        title="Leads where texts part"
        columns={[">lead below, nats", ">of partings", ">of all tokens"]}
        rows={margins.below.map((b) => [String(b.nats), share(b.partings), share(b.steps)])}
      />
    </Figure>
  );
}

function Endings({ report: { endings } }: { report: Horizon }) {
  if (!endings.length) return null;
  const rows = endings.map((e) => [
    `${e.what} (${e.places} of ${e.asked} answers)`,
    e.original.mean.toFixed(3),
    e.candidate.mean.toFixed(3),
    ...span(e.difference, fixed(3)),
    `${(100 * e.ends.mean).toFixed(0)}%`,
  ]);
  return (
    <Figure
      title="Where answers end"
      wide
      caption="The mean probability of ending at the place where the original ends its answer to a short question."
    >
      <DataTable title="Ends of turns and thoughts" columns={["end of a", ">original", ">candidate", ">difference", ">95%", ">ends there"]} rows={rows} />
    </Figure>
  );
}
