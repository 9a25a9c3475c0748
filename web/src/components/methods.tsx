/** The next token of a whole model whose codes were chosen in different ways. */
import { Data } from "../data";
import { percent, short } from "../numbers";
import { useParam } from "../state";
import { Controls, Figure } from "./chapter";
import { Button, Slider } from "./controls";
import { DataTable } from "./plot";
import { Tokens, visible } from "./tokens";

interface Methods {
  format: string;
  methods: string[];
  divergence: Record<string, number>;
  same_top1: Record<string, number>;
  tokens: string[];
  first: number;
  places: { top: ({ text: string } & Record<string, number | string>)[]; divergence: Record<string, number> }[];
}

export function WholeModel({ labels }: { labels: Record<string, string> }) {
  const [asked, ask] = useParam("whole", false);
  return (
    <Data<{ format: string | null; problem: string | null }> name="method">
      {({ format, problem }) =>
        format === null ? (
          <p class="aside">The whole model is not shown: {problem}.</p>
        ) : asked ? (
          <Data<Methods> name="methods" wait={`Reading a text, and bringing the whole model into ${format} in each way, which takes about half a minute`}>
            {(found) => <Compared found={found} labels={labels} />}
          </Data>
        ) : (
          <Figure title="The whole model, each way" wide caption={`Every matrix of every layer is brought into ${format}, once by each method.`}>
            <Button id="whole" onClick={() => ask(true)}>Show what comes next</Button>
          </Figure>
        )
      }
    </Data>
  );
}

/** The place where round to nearest does most harm among those where the last method does little. */
function telling(found: Methods): number {
  const last = found.methods[found.methods.length - 1];
  const gain = found.places.map(({ divergence }) => divergence[found.methods[0]] - divergence[last]);
  return gain.indexOf(Math.max(...gain));
}

function Compared({ found, labels }: { found: Methods; labels: Record<string, string> }) {
  const [place, setPlace] = useParam("place", telling(found));
  const at = Math.min(found.places.length - 1, Math.max(0, Math.round(place)));
  const { top, divergence } = found.places[at];
  const position = found.first + at;
  const most = Math.max(...top.flatMap((row) => ["reference", ...found.methods].map((m) => Number(row[m]))));
  return (
    <Figure
      title={`What comes next, with the whole model in ${found.format}`}
      wide
      caption="Outlined: the model as it is. Solid: with its codes chosen in that way. The text was not among what the statistics were gathered on. It opens where the methods differ most; every other place is yours to look at."
    >
      <Controls>
        <Slider id="place" label="Place in the text" min={0} max={found.places.length - 1} step={1} value={at} onInput={setPlace} text={(p) => `after token ${found.first + p + 1}`} />
      </Controls>
      <Tokens label="The text up to there" tokens={found.tokens.slice(Math.max(0, position - 30), position + 1)} />
      <div class="compared">
        {found.methods.map((method) => (
          <section key={method} aria-label={labels[method]}>
            <p class="field"><b>{labels[method]}</b> {short(divergence[method], 3)} nats here</p>
            {top.map((row, k) => (
              <div key={k} class="measure" data-value={`${method}-${k}`}>
                <span class="figures">{visible(row.text)}</span>
                <span>
                  <span class="amount thin reference" style={{ width: `${(100 * Number(row.reference)) / most}%` }} />
                  <span class="amount thin code" style={{ width: `${(100 * Number(row[method])) / most}%` }} />
                </span>
                <output>{percent(Number(row[method]), 0)}</output>
              </div>
            ))}
          </section>
        ))}
      </div>
      <DataTable
        title="Over the whole text"
        columns={["method", "KL divergence, nats", "same likeliest token"]}
        rows={found.methods.map((m) => [labels[m], short(found.divergence[m], 3), percent(found.same_top1[m], 0)])}
      />
    </Figure>
  );
}
