/** Compounding: two models write from one prompt until their paths part, how long that takes, and what a wrong step does
 * to the steps after it. */
import { useEffect, useState } from "preact/hooks";
import { usual, type Candidates } from "../candidates";
import { Origin, RecipeChoice } from "../components/candidates";
import { Chapter, Controls, Figure, Readout, Term } from "../components/chapter";
import { Button, Choice, Scrub, Select, Slider } from "../components/controls";
import { path, Plot } from "../components/plot";
import { Tokens, visible } from "../components/tokens";
import { Data, type Site } from "../data";
import { useStream } from "../live";
import { percent, short } from "../numbers";
import { useParam } from "../state";

interface Said {
  text: string;
  probability: number;
  of: number | null; // what this model gave the other's token
}

interface Step {
  step: number;
  together: boolean;
  divergence: number | null;
  reference: Said | null; // null once it has ended
  candidate: Said | null;
}

interface About extends Candidates {
  examples: string[];
  most_tokens: number;
  most_steps: number;
}

interface Recorded {
  recipe: string;
  prompts: { prompt: string; steps: Step[] }[];
}

interface Survival {
  recipe: string;
  prompts: number;
  steps: number;
  share: number[];
  band_low: number[] | null;
  band_high: number[] | null;
  median: number | null;
  low: number | null;
  high: number | null;
  events: number;
  rate: { value: number | null; low: number | null; high: number | null };
}

interface Answer {
  given: string;
  said: string;
  right: boolean | null; // by what it said before; null: nothing could be
  on_path: boolean;
}

interface Family {
  name: string;
  task: string;
  chains: number;
  reference_right: number;
  candidate_right: number;
  example: { opening: string; rows: { right: string; reference: Answer; candidate: Answer }[] };
}

export default function Compounding() {
  return (
    <Chapter
      title="Compounding"
      lead="A model reads what it wrote. One token that differs is read again at every step that follows, and the text goes another way."
    >
      <Data<About> name="compounding" wait="Starting the model">
        {(about) => (about.unavailable ? <Unavailable why={about.unavailable} /> : <Data<Site> name="site">{(site) => <Body about={about} live={site.live} />}</Data>)}
      </Data>
    </Chapter>
  );
}

function Unavailable({ why }: { why: string }) {
  return (
    <>
      <p>This page runs your model, and it cannot: {why}. What a small chance per token grows to needs no model:</p>
      <Figure title="How long do they stay together?"><Chance /></Figure>
    </>
  );
}

function Body({ about, live }: { about: About; live: boolean }) {
  const names = about.recipes.map((one) => one.name);
  const [name, setName] = useParam("recipe", usual(about.recipes), names);
  const recipe = about.recipes.find((one) => one.name === name)!;
  return (
    <>
      <p>
        Both models begin with the same words, and each takes the token that it thinks likeliest. No dice are thrown: whatever differs is the doing of
        quantization. Step through, and watch where the <Term role="reference">original</Term> and the <Term role="code">quantized</Term> one part.
      </p>
      <Figure title="One prompt, two models" wide>
        <Controls>
          <RecipeChoice recipes={about.recipes} value={name} onChange={setName} />
        </Controls>
        <Data<Recorded> name={`compounding/${name}`} wait={`Quantizing the model by ${name}, and letting both write`}>
          {({ recipe: held, prompts }) => <Writing about={about} live={live} recipe={name} held={held} recorded={prompts} />}
        </Data>
        <Origin original={about.original} recipe={recipe} />
      </Figure>
      <p>
        Often nothing is wrong when the paths part: two tokens were nearly as likely, and a breath decides. But from there on the two models read different
        texts, and no later token can be compared any more. This is why averages over single tokens say so little about long answers.
      </p>
      <h3>How long do they stay together?</h3>
      <p>
        One prompt is an anecdote. So the original continued many, and for each we look for the first token at which the quantized model would have written
        another.
      </p>
      <Data<Survival> name={`survival/${name}`} wait={`Letting the original write, and reading it by ${name}`}>{(found) => <Survivors found={found} />}</Data>
      <h3>The plan that goes wrong later</h3>
      <p>
        In a story, another token makes another story. In a task it makes a wrong answer. Here each step builds on the one before. The models read their own
        answers. Watch for a step that is wrong, and for the steps after it, which are right in themselves and wrong all the same.
      </p>
      <Data<{ recipe: string; families: Family[] }> name={`plans/${name}`} wait={`Setting both models tasks of many steps`}>
        {({ recipe: held, families }) => <Plans recipe={held} families={families} />}
      </Data>
    </>
  );
}

/** `held`: the recipe that the recorded texts are by; they lag behind `recipe` while that is computed. */
function Writing({ about, live, recipe, held, recorded }: { about: About; live: boolean; recipe: string; held: string; recorded: Recorded["prompts"] }) {
  const [written, setPrompt] = useParam("prompt", about.examples[1]);
  const prompt = live || about.examples.includes(written) ? written : about.examples[1];
  const known = recorded.find((one) => one.prompt === prompt);
  const [stream, ask, stop] = useStream<Step>("compounding");
  const [asked, setAsked] = useState("");
  const own = `${recipe} ${prompt}`;
  const streamed = asked === own ? stream.items : [];
  const steps = streamed.length || asked === own ? streamed : (known?.steps ?? []);
  const shownBy = steps === known?.steps ? held : recipe;
  const options = [...recorded.map((one) => ({ value: one.prompt, label: visible(one.prompt) })), ...(known ? [] : [{ value: prompt, label: "your own" }])];
  return (
    <>
      <Controls>
        <Select id="example" label="Text" options={options} value={prompt} onChange={setPrompt} />
      </Controls>
      {live ? (
        <>
          <label class="typed">
            <span>Or type your own, up to {about.most_tokens} tokens</span>
            <textarea data-control="prompt" rows={2} maxLength={1000} spellcheck={false} value={prompt} onInput={(event) => setPrompt(event.currentTarget.value)} />
          </label>
          <Controls>
            <Button id="write" disabled={!prompt.trim()} onClick={() => (setAsked(own), ask({ prompt, recipe, tokens: about.most_steps }))}>Let both write {about.most_steps} tokens</Button>
            <Button id="stop" disabled={!stream.running} onClick={stop}>Stop</Button>
          </Controls>
        </>
      ) : (
        <p class="aside">These texts were recorded. To type your own, run the pages on your machine: bitwright explore.</p>
      )}
      <p class="said" role="status">{stream.running && asked === own ? `Writing, token ${streamed.length}…` : ""}</p>
      {stream.error && asked === own && <p class="problem" role="alert">{stream.error}</p>}
      {steps.length > 0 && <Paths key={prompt} steps={steps} recipe={shownBy} follow={stream.running} />}
    </>
  );
}

/** Which step (from 0) is the first where both write and differ; −1 if none. */
const parting = (steps: Step[]) => steps.findIndex((one) => one.together && one.reference?.text !== one.candidate?.text);

function Paths({ steps, recipe, follow }: { steps: Step[]; recipe: string; follow: boolean }) {
  const parts = parting(steps);
  const [seen, setSeen] = useParam("seen", 0);
  const [shown, setShown] = useState(seen || Math.min(steps.length, parts < 0 ? steps.length : parts + 6));
  useEffect(() => {
    if (follow) setShown(steps.length);
  }, [follow, steps.length]);
  const count = Math.min(shown, steps.length);
  const show = (n: number) => (setShown(n), setSeen(n));
  const now = steps[count - 1];
  const parted = parts >= 0 && parts < count;
  const look = (index: number) => (parts < 0 || index < parts ? "same" : index === parts ? "parting" : "after");
  const texts = (whose: "reference" | "candidate") => steps.slice(0, count).flatMap((one) => (one[whose] ? [one[whose]!.text] : []));
  const nats = steps.slice(0, count).filter((one) => one.divergence !== null);
  return (
    <>
      <Controls>
        <Slider id="seen" label="Tokens written" min={1} max={steps.length} step={1} value={count} onInput={show} text={String} />
        <Button id="to-parting" disabled={parts < 0} onClick={() => show(parts + 1)}>Go to where they part</Button>
      </Controls>
      <div class="pair">
        <section aria-label="The original">
          <h3 class="fg-reference">original</h3>
          <Tokens label="What the original writes" tokens={texts("reference")} look={look} />
        </section>
        <section aria-label={recipe}>
          <h3 class="fg-code">{recipe}</h3>
          <Tokens label={`What ${recipe} writes`} tokens={texts("candidate")} look={look} />
        </section>
      </div>
      <Readout
        items={[
          { label: "their paths part", value: parted ? `at token ${parts + 1}` : `not within ${count} tokens`, role: "error", id: "parts" },
          ...(now.reference ? [{ label: "the original took", value: `${visible(now.reference.text)}, ${percent(now.reference.probability)}`, role: "reference" as const, id: "took" }] : []),
          ...(now.candidate ? [{ label: `${recipe} took`, value: `${visible(now.candidate.text)}, ${percent(now.candidate.probability)}`, role: "code" as const, id: "candidate-took" }] : []),
          ...(now.reference && now.reference.of !== null && now.reference.text !== now.candidate?.text
            ? [{ label: "the original gave the other token", value: percent(now.reference.of), role: "reference" as const }]
            : []),
        ]}
      />
      <Plot
        label={`KL divergence between the two predictions at each of the ${nats.length} steps in which both had read the same`}
        x={{ domain: [0.5, Math.max(8, count) + 0.5], label: "token", ticks: 6 }}
        y={{ domain: [0, Math.max(0.1, ...nats.map((one) => one.divergence!)) * 1.05], label: "nats", ticks: 3 }}
        height={140}
        table={{ title: "Step by step", columns: ["token", "original", recipe, "nats"], rows: steps.slice(0, count).map((one) => [String(one.step), one.reference ? visible(one.reference.text) : "ended", one.candidate ? visible(one.candidate.text) : "ended", one.divergence === null ? "" : short(one.divergence, 3)]) }}
      >
        {({ x, y, height }) => nats.map((one) => <rect key={one.step} class="fill error" x={x(one.step) - 3} width={6} y={y(one.divergence!)} height={Math.max(1, height - y(one.divergence!))} />)}
      </Plot>
    </>
  );
}

/** The share of prompts on which the models still agree, with its interval, and what one chance per token predicts. */
function Survivors({ found }: { found: Survival }) {
  const { share, band_low: low, band_high: high, steps, recipe } = found;
  const measured = found.rate.value ?? 0;
  const [chance] = useChance(measured);
  return (
    <Figure
      title="How long do they stay together?"
      wide
      caption={
        <>
          Solid: the share of {found.prompts} prompts on which {recipe} has written the same tokens as the original so far; shaded, its 95% interval over documents. Dashed: what a
          constant chance per token predicts. Real texts do not keep to it: some tokens are certain, others a toss-up.
        </>
      }
    >
      <Plot
        label={`Survival: after 8 tokens ${percent(share[Math.min(8, steps)], 0)} of prompts are still the same, after ${steps} tokens ${percent(share[steps], 0)}`}
        x={{ domain: [0, steps], label: "tokens written" }}
        y={{ domain: [0, 1], label: "still the same", text: (v) => percent(v, 0), ticks: 5 }}
        table={{ title: "The curve", columns: ["tokens", "still the same", "from", "to"], rows: share.map((one, n) => [String(n), percent(one, 0), low ? percent(low[n], 0) : "", high ? percent(high[n], 0) : ""]) }}
      >
        {({ x, y }) => (
          <>
            {low && high && <path class="wash code" d={`${path(stairs(high).map(([n, s]) => [x(n), y(s)]))}${path(stairs(low).reverse().map(([n, s]) => [x(n), y(s)])).replace("M", "L")}Z`} />}
            <path class="stroke code" d={path(stairs(share).map(([n, s]) => [x(n), y(s)]))} />
            <Line chance={chance} steps={steps} x={x} y={y} />
          </>
        )}
      </Plot>
      <Readout
        items={[
          { label: "half of the prompts have parted after", value: found.median === null ? `more than ${steps} tokens` : `${short(found.median)} ${found.median === 1 ? "token" : "tokens"}${found.low !== null && found.high !== null ? ` (${short(found.low)} to ${short(found.high)})` : ""}`, role: "code", id: "median" },
          { label: "measured chance to part, per token", value: `${percent(measured, 1)}${found.rate.low !== null && found.rate.high !== null ? ` (${percent(found.rate.low, 1)} to ${percent(found.rate.high, 1)})` : ""}`, role: "code", id: "rate" },
        ]}
      />
      <Chance measured={measured} />
    </Figure>
  );
}

const useChance = (measured: number) => useParam("chance", Math.max(0.001, Math.round(1000 * measured) / 1000));

function Line({ chance, steps, x, y }: { chance: number; steps: number; x: (n: number) => number; y: (n: number) => number }) {
  return <path class="stroke error" d={path(Array.from({ length: steps + 1 }, (_, n) => [x(n), y((1 - chance) ** n)]))} />;
}

/** A sentence about what a chance per token grows to. */
function Chance({ measured = 0.01 }: { measured?: number }) {
  const [chance, set] = useChance(measured);
  return (
    <p>
      With a chance of <Scrub id="chance" label="Chance to part, per token" value={chance} min={0.001} max={0.4} step={0.001} onInput={set} text={(v) => percent(v, 1)} /> at each
      token, half of all texts have parted after <output data-value="half-life">{short(Math.log(0.5) / Math.log(1 - chance), 3)}</output> tokens. Of answers of 100 tokens,{" "}
      <output data-value="hundred">{share(1 - chance)}</output> would still be the same.
    </p>
  );
}

/** What is left of a share after 100 times. */
function share(kept: number): string {
  const left = kept ** 100;
  return left < 0.001 ? "less than one in a thousand" : percent(left, 1);
}

/** The corners of a curve that falls in steps. */
function stairs(shares: number[]): [number, number][] {
  return shares.flatMap((one, n) => (n ? [[n, shares[n - 1]], [n, one]] : [[n, one]]) as [number, number][]);
}

const TASKS: Record<string, string> = { "running sum": "Keep a total", variables: "Work out variables", grid: "Walk to the goal" };

function Plans({ recipe, families }: { recipe: string; families: Family[] }) {
  const names = families.map((one) => one.name);
  const [name, setName] = useParam("task", names[0], names);
  const family = families.find((one) => one.name === name)!;
  const { opening, rows } = family.example;
  const [given, setStep] = useParam("step", rows.length);
  const step = Math.min(given, rows.length);
  const wrong = rows.findIndex((row) => row.candidate.right === false);
  const following = wrong < 0 ? 0 : rows.slice(wrong + 1).filter((row) => row.candidate.right && !row.candidate.on_path).length;
  return (
    <Figure
      title="A wrong step, carried on"
      wide
      caption={`${TASKS[name] ?? family.task}: of ${family.chains} such tasks, the original gets ${family.reference_right} right from beginning to end, ${recipe} ${family.candidate_right}. Shown is the one that tells most.`}
    >
      <Controls>
        <Choice id="task" label="Task" options={names.map((one) => ({ value: one, label: TASKS[one] ?? one }))} value={name} onChange={setName} />
        <Slider id="step" label="Steps" min={1} max={rows.length} step={1} value={step} onInput={setStep} text={(n) => `${n} of ${rows.length}`} />
      </Controls>
      <pre class="opening">{opening}</pre>
      <div class="scroll whole" tabIndex={0} role="region" aria-label="The steps">
        <table>
          <thead>
            <tr>
              <th scope="col">step</th>
              <th scope="col" class="fg-reference">original</th>
              <th scope="col" class="fg-code">{recipe}</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, step).map((row, n) => (
              <tr key={n}>
                <th scope="row">{n + 1}</th>
                <td><Verdict answer={row.reference} /></td>
                <td><Verdict answer={row.candidate} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Readout
        items={[
          { label: `${recipe} goes wrong`, value: wrong < 0 ? "nowhere here" : `at step ${wrong + 1}`, role: "error", id: "wrong" },
          { label: "later steps that are right in themselves, and wrong", value: String(following), role: "error", id: "following" },
        ]}
      />
    </Figure>
  );
}

function Verdict({ answer }: { answer: Answer }) {
  const kind = answer.right === false ? "wrong" : answer.on_path ? "" : answer.right ? "follows from the error" : "nothing can be right";
  return (
    <span class="step">
      {answer.given} <strong class={kind === "wrong" ? "fg-error" : undefined}>{answer.said || "∅"}</strong>
      {kind && <small class="fg-error"> {kind}</small>}
    </span>
  );
}
