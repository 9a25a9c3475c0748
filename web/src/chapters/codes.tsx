/** Choosing codes well: the nearest code is not always the best one. */
import { Chapter, Controls, Figure, Readout, Term, NoInputs } from "../components/chapter";
import { Choice, Select } from "../components/controls";
import { WholeModel } from "../components/methods";
import { DataTable, path, Plot } from "../components/plot";
import { Steps } from "../components/steps";
import { Data } from "../data";
import { exact, percent, short, whole } from "../numbers";
import { useParam } from "../state";

type Method = "rtn" | "search" | "importance" | "feedback";

interface Errors {
  weights: number;
  read: number;
  held_out: number;
}

interface Codes {
  tensor: string;
  format: string;
  rows: number;
  columns: number;
  tokens: { read: number; held_out: number };
  errors: Record<Method, Errors>;
  row: { index: number; start: number; importance: number[]; weights: number[]; decoded: Record<Method, number[]>; errors: Record<Method, Errors> };
}

interface Feedback {
  tensor: string;
  row: number;
  start: number;
  importance: number[];
  weights: number[];
  grids: { count: number; numbers: number[]; plain: { decoded: number[]; losses: number[] }; feedback: { targets: number[][]; decoded: number[]; losses: number[] } }[];
}

const LABEL: Record<Method, string> = { rtn: "round to nearest", search: "search for scales", importance: "weighted search", feedback: "error feedback" };
const ORDER = Object.keys(LABEL) as Method[];
const ABOUT: Record<Method, string> = {
  rtn: "The scale follows from the largest weight of the block, and every weight takes the nearest code.",
  search: "Several scales are tried, and the one with the least squared error in the weights is kept.",
  importance: "The same search, but an error counts as much as its column is loud.",
  feedback: "Each column is rounded, and the columns still to come are moved so that they cancel the error it made.",
};

export default function CodesChapter() {
  return (
    <Chapter title="Choosing codes well" lead="The format says which numbers there are. Which of them a weight becomes is a choice, and the nearest is not always the best.">
      <Data<{ tensor: string | null; formats: string[]; problem: string | null }> name="layer">
        {({ tensor, formats, problem }) =>
          tensor === null ? <NoInputs problem={problem} /> : <Body formats={formats} />
        }
      </Data>
    </Chapter>
  );
}

function Body({ formats }: { formats: string[] }) {
  const [format, setFormat] = useParam("format", formats.includes("q4_0") ? "q4_0" : formats[0], formats);
  return (
    <>
      <p>
        A weight does nothing by itself: it is multiplied by an input, and the products of a row are added up. That sum is all the rest of the model ever sees. So what matters is not how far the weights
        moved, but how far the sums did.
      </p>
      <p>
        And inputs are very unlike one another. In most layers a few columns are far louder than all others. An <Term role="error">error</Term> in a loud column is heard; in a quiet one hardly anybody notices.
      </p>
      {formats.length ? (
        <>
          <Controls>
            <Select id="format" label="Format" value={format} onChange={setFormat} options={formats.map((name) => ({ value: name, label: name }))} />
          </Controls>
          <Data<Codes> name={`codes/${format}`} wait="Running the model over a text, and choosing codes four ways">
            {(found) => <Chosen found={found} />}
          </Data>
        </>
      ) : (
        <p class="aside">No block format divides the rows of this layer evenly, so whole formats cannot be compared here.</p>
      )}
      <h3>Error feedback in slow motion</h3>
      <p>
        The trick behind the best of the four is older than language models, and simple. Round the first column. It is a little off; the inputs say which later columns tend to be loud at the same moments. Move
        those a little the other way, before they are rounded themselves. Go on to the next column.
      </p>
      <Data<Feedback> name="feedback" wait="Recording error feedback">
        {(found) => <Slow found={found} />}
      </Data>
      <h3>And the next token comes back</h3>
      <p>
        A layer's error is only a means. What counts in the end is what the model says next. So here is the whole model, every matrix in the same format and of the same size, and only the choice of codes differs.
      </p>
      <WholeModel labels={LABEL} />
    </>
  );
}

function Chosen({ found }: { found: Codes }) {
  const methods = ORDER.filter((m) => m in found.errors);
  const [method, setMethod] = useParam<Method>("method", "rtn", methods);
  const { row } = found;
  const { importance, weights } = row;
  const decoded = row.decoded[method];
  const heard = (one: Method) => weights.map((w, k) => Math.abs(row.decoded[one][k] - w) * Math.sqrt(importance[k]));
  const most = Math.max(...methods.flatMap(heard));
  const at = (k: number) => row.start + k;
  const domain: [number, number] = [row.start - 0.5, row.start + weights.length - 0.5];
  const [low, high] = [Math.min(...importance), Math.max(...importance)];
  const e = row.errors[method];
  return (
    <>
      <Figure
        title={`Row ${row.index} of ${found.tensor}, and what it is multiplied by`}
        wide
        caption={`Columns ${row.start} to ${row.start + weights.length - 1} of ${whole(found.columns)}, the loudest one among them. Loudness is the mean squared input over ${whole(found.tokens.read)} tokens of text; what is heard of an error is its size times the root of that.`}
      >
        <Plot
          label={`How loud each of ${weights.length} columns is: from ${short(low)} to ${short(high)}`}
          x={{ domain, ticks: [] }}
          y={{ domain: [low > 0 ? low : high * 1e-6, high], kind: "log", label: "loudness of the column", ticks: 3 }}
          height={130}
        >
          {({ x, y, height }) => importance.map((value, k) => <rect key={k} class="fill reference" x={x(at(k) - 0.35)} width={Math.max(1, x(0.7) - x(0))} y={y(value)} height={Math.max(0, height - y(value))} />)}
        </Plot>
        <Controls>
          <Choice id="method" label={`How ${found.format} codes are chosen`} value={method} onChange={setMethod} options={methods.map((m) => ({ value: m, label: LABEL[m] }))} />
        </Controls>
        <p class="field">{ABOUT[method]}</p>
        <Plot
          label={`What is heard of the error of each column with ${LABEL[method]}`}
          x={{ domain, label: "column" }}
          y={{ domain: [0, most || 1], label: "what is heard of the error", ticks: 3 }}
          height={190}
          table={{
            title: "The weights",
            columns: ["column", "loudness", "weight", "becomes", "error"],
            rows: weights.map((w, k) => [String(at(k)), importance[k], exact(w), exact(decoded[k]), decoded[k] - w]),
          }}
        >
          {({ x, y, height }) => heard(method).map((value, k) => <rect key={k} class="fill error" x={x(at(k) - 0.35)} width={Math.max(1, x(0.7) - x(0))} y={y(value)} height={height - y(value)} />)}
        </Plot>
        <Readout
          items={[
            { label: "error of the row's weights", value: percent(e.weights, 2), role: "reference", id: "row-weights" },
            { label: "error of its outputs", value: percent(e.read, 2), role: "error", id: "row-read" },
            { label: "of its outputs on another text", value: percent(e.held_out, 2), role: "error", id: "row-held-out" },
          ]}
        />
      </Figure>
      <p>
        One row may be lucky. Here is the whole layer, {whole(found.rows)} rows. Look at the weights first, then at the outputs: what is best for one is not best for the other.
      </p>
      <Layer found={found} methods={methods} />
    </>
  );
}

/** The methods compared with rounding to nearest. */
function Layer({ found, methods }: { found: Codes; methods: Method[] }) {
  const kinds = [
    { key: "weights", label: "the weights", role: "reference" },
    { key: "held_out", label: "the outputs", role: "error" },
  ] as const;
  const most = Math.max(...methods.flatMap((m) => kinds.map(({ key }) => ratio(found, m, key))));
  return (
    <Figure
      title="Errors of the whole layer, compared with rounding to nearest"
      wide
      caption={`Squared error as a share of the sum of squares. Outputs are those on ${whole(found.tokens.held_out)} tokens that no method has seen: feedback fits the text it was shown closest, and keeps only part of that elsewhere.`}
    >
      <div class="compared">
        {methods.map((m) => (
          <section key={m} aria-label={LABEL[m]}>
            <p class="field"><b>{LABEL[m]}</b></p>
            {kinds.map(({ key, label, role }) => (
              <div key={key} class="measure">
                <span>{label}</span>
                <span class={`amount ${role}`} style={{ width: `${(100 * ratio(found, m, key)) / most}%` }} />
                <output data-value={`${m}-${key}`}>{percent(ratio(found, m, key), 0)}</output>
              </div>
            ))}
          </section>
        ))}
      </div>
      <DataTable
        title="Errors by method"
        columns={["method", "weights", "outputs, text it was shown", "outputs, another text"]}
        rows={methods.map((m) => [LABEL[m], percent(found.errors[m].weights, 3), percent(found.errors[m].read, 3), percent(found.errors[m].held_out, 3)])}
      />
    </Figure>
  );
}

const ratio = (found: Codes, method: Method, key: keyof Errors) => found.errors[method][key] / (found.errors.rtn[key] || 1);

const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);

function Slow({ found }: { found: Feedback }) {
  const counts = found.grids.map((g) => String(g.count));
  const [count, setCount] = useParam("numbers", "4", counts);
  const [step, setStep] = useParam("step", 12);
  const n = found.weights.length;
  const done = Math.min(n, Math.max(0, Math.round(step)));
  const { numbers, plain, feedback } = found.grids.find((g) => String(g.count) === count)!;
  const targets = feedback.targets[done];
  const everything = [...found.weights, ...feedback.targets.flat()];
  const [low, high] = [Math.min(...everything), Math.max(...everything)];
  const column = (k: number) => found.start + k;
  const last = done - 1;
  const running = (losses: number[]) => losses.map((_, k) => sum(losses.slice(0, k + 1)));
  const most = Math.max(sum(plain.losses), sum(feedback.losses));
  return (
    <Figure
      title={`${n} columns of row ${found.row}, rounded one by one`}
      wide
      caption={
        <>
          Dots are the weights, squares what they became, dashes where a weight waits to be rounded. These are real weights of {found.tensor} and the second moments of their real inputs; of the columns tried,
          those that feedback helps most. The scales are fixed here, so that you see nothing but the error move.
        </>
      }
    >
      <Controls>
        <Choice id="numbers" label="Numbers that a weight may become" value={count} onChange={setCount} options={counts.map((c) => ({ value: c, label: c }))} />
      </Controls>
      <Steps id="step" label="Columns rounded" value={done} count={n} onInput={setStep} />
      <Plot
        label={`${done} of ${n} columns are rounded; the others have been moved to make up for their errors`}
        x={{ domain: [column(-0.7), column(n - 0.3)], label: "column" }}
        y={{ domain: [low, high], label: "weight", ticks: numbers, text: (v) => short(v, 2) }}
        height={280}
        table={{
          title: "The columns",
          columns: ["column", "weight", "wanted", "became"],
          rows: found.weights.map((w, k) => [String(column(k)), exact(w), exact(targets[k]), k < done ? exact(feedback.decoded[k]) : "not yet"]),
        }}
      >
        {({ x, y, height }) => (
          <>
            {done < n && <line class="axis" x1={x(column(done - 0.5))} x2={x(column(done - 0.5))} y2={height} />}
            {found.weights.map((w, k) => {
              const at = x(column(k));
              const moved = Math.abs(targets[k] - w) > (high - low) / 400;
              return (
                <g key={k}>
                  {moved && <path class="stroke error" d={path([[at, y(w)], [at, y(targets[k])]])} />}
                  <circle class="fill reference" cx={at} cy={y(w)} r={3} />
                  <line class="stroke scale" x1={at - 6} x2={at + 6} y1={y(targets[k])} y2={y(targets[k])} />
                  {k < done && <rect class="fill code" x={at - 4} y={y(feedback.decoded[k]) - 4} width={8} height={8} />}
                </g>
              );
            })}
          </>
        )}
      </Plot>
      <Plot
        label={`The error of the output as it adds up: ${short(sum(plain.losses.slice(0, done)))} without feedback, ${short(sum(feedback.losses.slice(0, done)))} with it`}
        x={{ domain: [column(-0.7), column(n - 0.3)], ticks: [] }}
        y={{ domain: [0, most], label: "error of the output so far", ticks: 3 }}
        height={140}
      >
        {({ x, y }) => (
          <>
            <path class="stroke error" d={path(running(plain.losses).slice(0, done).map((v, k) => [x(column(k)), y(v)]))} />
            <path class="stroke code" d={path(running(feedback.losses).slice(0, done).map((v, k) => [x(column(k)), y(v)]))} />
          </>
        )}
      </Plot>
      <Readout
        items={[
          ...(done
            ? [
                { label: `column ${column(last)} wanted`, value: short(feedback.targets[done][last]), role: "scale" as const, id: "wanted" },
                { label: "it became", value: short(feedback.decoded[last]), role: "code" as const, id: "became" },
              ]
            : []),
          { label: "error so far, nearest codes (dashed)", value: short(sum(plain.losses.slice(0, done))), role: "error", id: "plain" },
          { label: "with feedback (solid)", value: short(sum(feedback.losses.slice(0, done))), role: "code", id: "fed" },
          { label: "in the end feedback leaves", value: percent(sum(feedback.losses) / (sum(plain.losses) || 1), 0), id: "left" },
        ]}
      />
    </Figure>
  );
}
