/** Next token: what two models expect to come next, how their distance is measured, and what perplexity really is. */
import { useState } from "preact/hooks";
import { added, density, divergence, reversed } from "../arithmetic/normals";
import { usual, type Candidates } from "../candidates";
import { Origin, RecipeChoice } from "../components/candidates";
import { Chapter, Controls, Figure, Readout, Term } from "../components/chapter";
import { Choice, Select, Slider } from "../components/controls";
import { path, Plot } from "../components/plot";
import { Tokens, visible } from "../components/tokens";
import { Data, type Site } from "../data";
import { useAnswer } from "../live";
import { percent, short, whole } from "../numbers";
import { useParam } from "../state";

interface Pair {
  reference: number;
  candidate: number;
  nats: number;
}

interface After {
  divergence: number;
  losses: [number, number] | null;
  top: (Pair & { text: string })[];
  rest: Pair;
}

interface Prompt {
  prompt: string;
  tokens: string[];
  after: After[];
}

interface Cut {
  context: number;
  first: number;
  chunks: string[][];
}

interface About extends Candidates {
  examples: string[];
  most_tokens: number;
  text: { title: string; tokens: number; contexts: Cut[] };
  losses: number[][][]; // by length of chunk, chunk, scored token
}

interface OfRecipe {
  recipe: string;
  prompts: Prompt[];
  losses: number[][][];
}

export default function NextToken() {
  return (
    <Chapter
      title="Next token"
      lead="A model does one thing: it reads a text and gives every token a chance to come next. Quantization is harmless as long as those chances stay the same."
    >
      <Data<About> name="next-token" wait="Starting the model">
        {(about) => (about.unavailable ? <Unavailable why={about.unavailable} /> : <Data<Site> name="site">{(site) => <Body about={about} live={site.live} />}</Data>)}
      </Data>
    </Chapter>
  );
}

function Unavailable({ why }: { why: string }) {
  return (
    <>
      <p>This page runs your model, and it cannot: {why}. What needs no model is here all the same.</p>
      <Normals />
    </>
  );
}

function Body({ about, live }: { about: About; live: boolean }) {
  const [name, setName] = useParam("recipe", usual(about.recipes), about.recipes.map((one) => one.name));
  const recipe = about.recipes.find((one) => one.name === name)!;
  return (
    <>
      <p>
        Write something, and see what two models expect after each of its tokens: the <Term role="reference">original</Term>, and one{" "}
        <Term role="code">quantized</Term> by a recipe. Nothing is drawn by chance here: these are all the chances, before any is taken.
      </p>
      <Figure title="What comes next?" wide>
        <Controls>
          <RecipeChoice recipes={about.recipes} value={name} onChange={setName} />
        </Controls>
        <Data<OfRecipe> name={`next-token/${name}`} wait={`Quantizing the model by ${name}, and asking both`}>
          {({ recipe: held, prompts }) => <Compared about={about} live={live} recipe={name} held={held} recorded={prompts} />}
        </Data>
        <Origin original={about.original} recipe={recipe} />
      </Figure>
      <h3>One number for two distributions</h3>
      <p>
        How far apart are two sets of chances? Take each token, ask by what factor the quantized model changed its chance, and average the logarithm of
        that factor, weighted by how likely the original thought the token. That is the <Term role="error">KL divergence</Term>, in nats. It is 0 if
        nothing changed. It grows fast when the quantized model calls impossible what the original expects.
      </p>
      <Normals />
      <p>
        The last column above is the same sum, token by token. One value in it can be below zero, where the quantized model likes a token more. The sum
        never is.
      </p>
      <h3>Perplexity</h3>
      <p>
        Divergence needs the original at hand. Perplexity needs only a text: how surprised is the model by each token that really comes? It is often drawn
        as a window that slides along the text. That would make a model read the text hundreds of times. What every program computes instead is this: the
        text is cut into chunks that do not overlap. Each is read once. The first half only warms the model up. The second half is scored.
      </p>
      <Data<OfRecipe> name={`next-token/${name}`} wait={`Reading a text by ${name}`}>
        {({ recipe: held, losses }) => <Perplexity about={about} recipe={held} losses={losses} />}
      </Data>
      <p>
        So a perplexity belongs to a text and to a length of chunk: change the length, and the same model gets another. And it is an average. It can hardly
        move while single answers change completely: try “The capital of France is” in a few recipes, and then compare their perplexities.
      </p>
    </>
  );
}

/** `held`: the recipe that the recorded answers are by; they lag behind `recipe` while that is computed. */
function Compared({ about, live, recipe, held, recorded }: { about: About; live: boolean; recipe: string; held: string; recorded: Prompt[] }) {
  const [written, write] = useParam("prompt", about.examples[1]);
  const [, setPlace] = useParam("place", LAST);
  const setPrompt = (next: string) => (setPlace(LAST), write(next));
  const prompt = live || about.examples.includes(written) ? written : about.examples[1];
  const known = recorded.find((one) => one.prompt === prompt);
  const asked = useAnswer<Prompt>("next-token", known || !live || !prompt.trim() ? null : { prompt, recipe });
  const shown = known ?? asked.value;
  const examples = [...recorded.map((one) => ({ value: one.prompt, label: visible(one.prompt) })), ...(known ? [] : [{ value: prompt, label: "your own" }])];
  return (
    <>
      <Controls>
        <Select id="example" label="Text" options={examples} value={prompt} onChange={setPrompt} />
      </Controls>
      {live ? (
        <label class="typed">
          <span>Or type your own, up to {about.most_tokens} tokens</span>
          <textarea data-control="prompt" rows={2} maxLength={1000} spellcheck={false} value={prompt} onInput={(event) => setPrompt(event.currentTarget.value)} />
        </label>
      ) : (
        <p class="aside">These answers were recorded. To type your own text, run the pages on your machine: bitwright explore.</p>
      )}
      <p class="said" role="status">{asked.waiting ? "Asking both models…" : ""}</p>
      {asked.error && <p class="problem" role="alert">{asked.error}</p>}
      {shown && <Answers key={shown.prompt} shown={shown} recipe={known ? held : recipe} />}
    </>
  );
}

const LAST = 0; // the place of the last token, however many there are; others count from 1

function Answers({ shown, recipe }: { shown: Prompt; recipe: string }) {
  const count = shown.tokens.length;
  const [given, setPlace] = useParam("place", LAST);
  const place = given >= 1 && given <= count ? Math.round(given) - 1 : count - 1;
  const { divergence: nats, top, rest, losses } = shown.after[place];
  const most = Math.max(...top.map((one) => Math.max(one.reference, one.candidate)));
  const [first, second] = [best(top, "reference"), best(top, "candidate")];
  const mean = shown.after.reduce((sum, one) => sum + one.divergence, 0) / shown.after.length;
  return (
    <>
      <Tokens label="The text, token by token" tokens={shown.tokens} chosen={place} choose={(index) => setPlace(index + 1)} />
      <Controls>
        <Slider id="place" label="What comes after token" min={1} max={count} step={1} value={place + 1} onInput={setPlace} text={(n) => `${n}: ${visible(shown.tokens[n - 1] ?? "")}`} />
      </Controls>
      <div class="scroll whole" tabIndex={0} role="region" aria-label="The likeliest next tokens">
        <table class="chances">
          <thead>
            <tr>
              <th scope="col">next token</th>
              <th scope="col" colSpan={2}><span class="fg-reference">original ▫</span> · <span class="fg-code">{recipe} ▪</span></th>
              <th scope="col" class="fg-error">nats</th>
            </tr>
          </thead>
          <tbody>
            {top.map((one, index) => <Row key={index} label={visible(one.text)} pair={one} most={most} came={shown.tokens[place + 1] === one.text} />)}
            <Row label="all others" pair={rest} most={Math.max(most, rest.reference, rest.candidate)} />
          </tbody>
        </table>
      </div>
      <Readout
        items={[
          { label: "KL divergence here", value: `${short(nats, 4)} nats`, role: "error", id: "divergence" },
          { label: "mean over the text", value: `${short(mean, 4)} nats`, role: "error" },
          { label: "the original's favourite", value: visible(first), role: "reference", id: "favourite" },
          { label: "the quantized model's", value: first === second ? "the same" : visible(second), role: "code", id: "candidate-favourite" },
          ...(losses ? [{ label: "chance of the token that came", value: `${percent(Math.exp(-losses[0]))} → ${percent(Math.exp(-losses[1]))}` }] : []),
        ]}
      />
    </>
  );
}

const best = (top: After["top"], whose: "reference" | "candidate") => top.reduce((a, b) => (b[whose] > a[whose] ? b : a)).text;

function Row({ label, pair, most, came }: { label: string; pair: Pair; most: number; came?: boolean }) {
  return (
    <tr>
      <th scope="row">{label}{came && <span class="came"> came</span>}</th>
      <td class="bars" aria-hidden="true">
        <span class="chance reference" style={{ width: `${(100 * pair.reference) / most}%` }} />
        <span class="chance code" style={{ width: `${(100 * pair.candidate) / most}%` }} />
      </td>
      <td class="n">
        <span class="fg-reference">{percent(pair.reference)}</span>
        <br />
        <span class="fg-code">{percent(pair.candidate)}</span>
      </td>
      <td class="n fg-error">{signed(pair.nats)}</td>
    </tr>
  );
}

function signed(nats: number): string {
  const text = Math.abs(nats).toFixed(3);
  return Number(text) ? `${nats < 0 ? "−" : "+"}${text}` : text;
}

const REACH = 5;

/** Two normal distributions, one of which can be dragged. */
function Normals() {
  const [shift, setShift] = useParam("shift", 1.5);
  const [height, setHeight] = useParam("height", 1);
  const [grabbed, grab] = useState(false);
  const deviation = 1 / height;
  const xs = Array.from({ length: 241 }, (_, n) => -REACH + (2 * REACH * n) / 240);
  const top = Math.max(1, height) * density(0, 0, 1) * 1.15;
  const adds = xs.map((x) => added(x, shift, deviation));
  const low = Math.min(-0.12, ...adds);
  const nats = divergence(shift, deviation);
  return (
    <Figure
      title="Move one over the other"
      wide
      caption="Dotted: the original's chances. Solid: the quantized model's; drag it sideways and up or down. The dashed curve is what each place adds: above the line where the original expects more than it gets, below where less. Its area is the divergence."
    >
      <Plot
        label={`Two bell curves, the second moved by ${short(shift, 3)} and ${short(height, 3)} times as high. The divergence is ${short(nats, 4)} nats.`}
        x={{ domain: [-REACH, REACH], label: "outcomes, in deviations of the original" }}
        y={{ domain: [low, Math.max(top, ...adds)], ticks: 5 }}
        height={280}
      >
        {({ x, y, invertX, invertY, width, height: tall }) => {
          const move = (event: PointerEvent & { currentTarget: Element }) => {
            const box = event.currentTarget.getBoundingClientRect();
            const at = Math.round(20 * invertX(event.clientX - box.left)) / 20;
            const peak = invertY(event.clientY - box.top) / density(0, 0, 1);
            setShift(clamp(at, -3, 3));
            setHeight(clamp(Math.round(20 * peak) / 20, 0.25, 2));
          };
          return (
            <>
              <line class="axis" x2={width} y1={y(0)} y2={y(0)} />
              <path class="wash error" d={`${path(xs.map((one, n) => [x(one), y(adds[n])]))}L${x(REACH)},${y(0)}L${x(-REACH)},${y(0)}Z`} />
              <path class="stroke error" d={path(xs.map((one, n) => [x(one), y(adds[n])]))} />
              <path class="stroke reference" d={path(xs.map((one) => [x(one), y(density(one, 0, 1))]))} />
              <path class="stroke code" d={path(xs.map((one) => [x(one), y(density(one, shift, deviation))]))} />
              <circle class="fill code" cx={x(shift)} cy={y(density(0, 0, deviation))} r={7} />
              <rect
                width={width}
                height={tall}
                fill="transparent"
                style={{ cursor: grabbed ? "grabbing" : "grab", touchAction: "pan-y" }}
                onPointerDown={(event) => (event.currentTarget.setPointerCapture(event.pointerId), grab(true), move(event))}
                onPointerMove={(event) => grabbed && move(event)}
                onPointerUp={() => grab(false)}
                onPointerCancel={() => grab(false)}
              />
            </>
          );
        }}
      </Plot>
      <Controls>
        <Slider id="shift" label="Moved by" min={-3} max={3} step={0.05} value={shift} onInput={setShift} text={(v) => `${short(v, 3)} σ`} />
        <Slider id="height" label="As high" min={0.25} max={2} step={0.05} value={height} onInput={setHeight} text={(v) => `${short(v, 3)} ×`} />
      </Controls>
      <p class="formula">
        ln <span class="fg-code">{short(deviation, 3)}</span> + (1 + <span class="fg-code">{short(shift, 3)}</span>²) / (2 · <span class="fg-code">{short(deviation, 3)}</span>²) − ½ ={" "}
        <output class="value fg-error" data-value="normal-divergence">{short(nats, 4)}</output>
      </p>
      <Readout items={[{ label: "the other way round, from the quantized model's view", value: `${short(reversed(shift, deviation), 4)} nats`, id: "normal-reversed" }]} />
    </Figure>
  );
}

const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));

const HEAT = 4; // steps of the wash behind a token
const HOT = 8; // nats from which it is full

/** A text cut into chunks, each read by itself, with the losses of its second half. */
function Perplexity({ about, recipe, losses }: { about: About; recipe: string; losses: number[][][] }) {
  const { text } = about;
  const lengths = text.contexts.map(({ context }) => String(context));
  const [length, setLength] = useParam("chunk", lengths[1], lengths);
  const [number, setNumber] = useParam("number", 1);
  const index = lengths.indexOf(length);
  const { first, chunks, context } = text.contexts[index];
  const place = clamp(number, 1, chunks.length) - 1;
  const [ours, theirs] = [about.losses[index], losses[index]];
  const scored = ours.reduce((sum, one) => sum + one.length, 0);
  const heat = (at: number) => {
    if (at <= first) return "unscored";
    return `heat${Math.min(HEAT, Math.floor((HEAT * theirs[place][at - first - 1]) / HOT))}`;
  };
  return (
    <Figure
      title="Perplexity, as it is computed"
      wide
      caption={
        <>
          From “{text.title}”, {whole(text.tokens)} tokens. Pale: read, but not scored. Shaded: the more surprised {recipe} was, the darker. Each of the {whole(chunks.length)} chunks is
          read once, so the model reads {whole(chunks.length * context)} tokens and scores {whole(scored)}. A window of {context} that slides by one token would read{" "}
          {whole((chunks.length * context - context + 1) * context)}.
        </>
      }
    >
      <Controls>
        <Choice id="chunk" label="Tokens in a chunk" options={lengths.map((one) => ({ value: one, label: one }))} value={length} onChange={setLength} />
        <Slider id="number" label="Chunk" min={1} max={chunks.length} step={1} value={place + 1} onInput={setNumber} text={(n) => `${n} of ${chunks.length}`} />
      </Controls>
      <Tokens label={`Chunk ${place + 1}, token by token`} tokens={chunks[place]} look={heat} />
      <Readout
        items={[
          { label: "scored in this chunk", value: `${theirs[place].length} of ${context} tokens`, id: "scored" },
          { label: "mean loss here, original", value: `${short(mean(ours[place]), 4)} nats`, role: "reference" },
          { label: `mean loss here, ${recipe}`, value: `${short(mean(theirs[place]), 4)} nats`, role: "code" },
        ]}
      />
      <Readout
        items={[
          { label: "perplexity, original: e to the mean loss of all chunks", value: short(Math.exp(mean(ours.flat())), 5), role: "reference", id: "perplexity" },
          { label: `perplexity, ${recipe}`, value: short(Math.exp(mean(theirs.flat())), 5), role: "code", id: "candidate-perplexity" },
        ]}
      />
    </Figure>
  );
}

const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
