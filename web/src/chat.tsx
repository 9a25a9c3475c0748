/** The chat page of `bitwright serve`: one conversation, kept in this page alone. */
import { render } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "./components/controls";
import { Markdown } from "./components/markdown";
import { events } from "./events";
import { short, whole } from "./numbers";

const KEY = "bitwright-key"; // in the session's storage: gone when the tab is closed
const TOUCH = matchMedia("(pointer: coarse)").matches; // a keyboard on the screen, whose Enter must begin lines
const PAUSE = 100; // milliseconds between two looks at an answer that is written: the model needs the processor more
const AGAIN = 2000; // milliseconds until a server that does not answer yet is asked again
const NEAR = 120; // pixels from the end of the page within which it follows what is written

interface Turn {
  role: "user" | "assistant";
  content: string;
  reasoning?: string;
  note?: string; // how much, how fast, or why it ended early
}

interface Model {
  id: string;
  context: number;
}

interface Chunk {
  error?: { message: string };
  choices?: { delta: { content?: string | null; reasoning_content?: string }; finish_reason: string | null }[];
  usage?: { completion_tokens: number; total_tokens: number };
  timings?: { predicted_per_second: number };
}

/** An answer of the server that says what is wrong. */
class Refused extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** Asks the server, with the key if there is one. Throws Refused if it does not answer. */
async function ask(path: string, body?: object, signal?: AbortSignal): Promise<Response> {
  const key = sessionStorage.getItem(KEY);
  if (key && !/^[ -~]+$/.test(key)) throw new Refused(401, "HTTP cannot send that key.");
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body), signal } : { headers });
  if (response.ok) return response;
  const said: Chunk = await response.json().catch(() => ({}));
  throw new Refused(response.status, said.error?.message ?? `${response.status} ${response.statusText}`);
}

/** What went wrong. Browsers have a TypeError, and words of their own, for a connection that fails. */
const words = (error: unknown) => (error instanceof TypeError ? "The server cannot be reached. Is it still running?" : error instanceof Error ? error.message : String(error));

const refusedAs = (error: unknown, status: number) => error instanceof Refused && error.status === status;

/** Asks for a key that the server takes. */
function KeyForm({ wrong, enter }: { wrong: boolean; enter: (key: string) => void }) {
  const [key, setKey] = useState("");
  return (
    <div class="ask">
      <label class="typed">
        API key of this server (kept until this tab is closed)
        <input type="password" autocomplete="off" data-control="key" value={key} onInput={(event) => setKey(event.currentTarget.value)} onKeyDown={(event) => event.key === "Enter" && enter(key)} />
      </label>
      {wrong && <p class="problem" role="alert">The server does not take that key.</p>}
      <Button id="enter" onClick={() => enter(key)} disabled={!key}>Use this key</Button>
    </div>
  );
}

function Said({ turn, model }: { turn: Turn; model: string }) {
  const own = turn.role === "user";
  return (
    <section class={`turn ${turn.role}`} aria-label={own ? "You" : model}>
      <h2>{own ? "You" : model}</h2>
      {turn.reasoning && (
        <details open={!turn.content}>
          <summary>Reasoning</summary>
          <p class="plain">{turn.reasoning}</p>
        </details>
      )}
      {own ? <p class="plain">{turn.content}</p> : <Markdown text={turn.content} />}
      {turn.note && <p class="about">{turn.note}</p>}
    </section>
  );
}

/** The conversation with a model. lock: the server wants a key now. */
function Conversation({ model, lock }: { model: Model; lock: (error: unknown) => void }) {
  const [turns, setTurns] = useState<Turn[]>([]);
  const [answer, setAnswer] = useState<Turn>(); // while it is written
  const [system, setSystem] = useState("");
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string>();
  const running = useRef<AbortController | null>(null);
  const box = useRef<HTMLTextAreaElement>(null);
  const follows = useRef(true);
  const said = useMemo(() => turns.map((turn, index) => <Said key={index} turn={turn} model={model.id} />), [turns, model.id]);

  useEffect(() => {
    const look = () => void (follows.current = innerHeight + scrollY > document.documentElement.scrollHeight - NEAR);
    addEventListener("scroll", look);
    return () => removeEventListener("scroll", look);
  }, []);
  useEffect(() => {
    if (follows.current) scrollTo(0, document.documentElement.scrollHeight);
  }, [turns, answer]);

  async function send() {
    const typed = text.trim();
    if (!typed || running.current) return;
    const own = (running.current = new AbortController());
    const asked: Turn[] = [...turns, { role: "user", content: typed }];
    let written: Turn = { role: "assistant", content: "" };
    let failed = false;
    let over = false;
    let drawing = 0;
    const draw = () => {
      drawing = 0;
      setAnswer(written);
    };
    follows.current = true;
    setTurns(asked);
    setAnswer(written);
    setText("");
    setProblem(undefined);
    const told = system.trim() ? [{ role: "system", content: system }] : [];
    const messages = [...told, ...asked.map(({ role, content }) => ({ role, content }))];
    try {
      const body = { model: model.id, messages, stream: true, stream_options: { include_usage: true } };
      for await (const data of events(await ask("v1/chat/completions", body, own.signal))) {
        if ((over = data === "[DONE]")) break;
        written = add(written, JSON.parse(data));
        drawing ||= setTimeout(draw, PAUSE);
      }
      if (!over) throw new Error("The answer broke off.");
    } catch (error) {
      if (own.signal.aborted) written = { ...written, note: "Stopped." };
      else {
        failed = true;
        if (refusedAs(error, 401)) lock(error);
        else setProblem(words(error));
      }
    }
    running.current = null;
    clearTimeout(drawing);
    setAnswer(undefined);
    if (!failed || written.content || written.reasoning) setTurns([...asked, written]);
    else {
      setTurns(turns); // there is no answer: the message goes back to be sent again
      setText((later) => later || typed);
    }
    if (document.activeElement?.closest(".ask")) box.current?.focus(); // not if the user reads elsewhere by now
  }

  function add(written: Turn, { error, choices, usage, timings }: Chunk): Turn {
    if (error) throw new Error(error.message);
    const { delta, finish_reason } = choices?.[0] ?? {};
    const found = { ...written, content: written.content + (delta?.content ?? "") };
    if (delta?.reasoning_content) found.reasoning = (found.reasoning ?? "") + delta.reasoning_content;
    if (finish_reason === "length") found.note = "Cut off: the context is full.";
    if (usage && timings) {
      const speed = `${whole(usage.completion_tokens)} tokens, ${short(timings.predicted_per_second)} tokens/s; ${whole(usage.total_tokens)} of ${whole(model.context)} tokens of context`;
      found.note = [found.note, speed].filter(Boolean).join(" ");
    }
    return found;
  }

  const stop = () => running.current?.abort();
  return (
    <>
      <details class="typed">
        <summary>System message</summary>
        <label>
          What the model is told before the conversation
          <textarea rows={3} data-control="system" value={system} onInput={(event) => setSystem(event.currentTarget.value)} />
        </label>
      </details>
      <div role="log" aria-label="Conversation" aria-busy={!!answer} tabIndex={-1}>
        {answer ? [...said, <Said key={turns.length} turn={answer} model={model.id} />] : said}
      </div>
      {answer && !answer.content && !answer.reasoning && <p class="waiting" role="status">Reading…</p>}
      {problem && <p class="problem" role="alert">{problem}</p>}
      <div class="ask">
        <label class="typed">
          {TOUCH ? "Message" : "Message (Enter sends, Shift and Enter begin a line, Escape stops)"}
          <textarea
            ref={box}
            rows={3}
            data-control="message"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Escape") stop();
              else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !TOUCH) {
                event.preventDefault();
                void send();
              }
            }}
          />
        </label>
        <div class="controls">
          {answer ? <Button id="stop" onClick={stop}>Stop</Button> : <Button id="send" onClick={() => void send()} disabled={!text.trim()}>Send</Button>}
          <Button id="anew" onClick={() => (setTurns([]), setProblem(undefined), box.current?.focus())} disabled={!!answer || !turns.length}>New conversation</Button>
        </div>
      </div>
    </>
  );
}

function Page() {
  const [model, setModel] = useState<Model>();
  const [problem, setProblem] = useState<unknown>();
  const look = async () => {
    try {
      const { data: [{ id, meta }] } = await (await ask("v1/models")).json();
      setModel({ id, context: meta.n_ctx });
      setProblem(undefined);
    } catch (error) {
      setProblem(error);
      if (!refusedAs(error, 401)) setTimeout(look, AGAIN);
    }
  };
  useEffect(() => void look(), []);
  const enter = (key: string) => (sessionStorage.setItem(KEY, key), void look());
  const locked = refusedAs(problem, 401);
  const loading = refusedAs(problem, 503);
  return (
    <main>
      <article>
        <h1>Chat</h1>
        {model && <p class="about">{model.id}, {whole(model.context)} tokens of context. What is said here goes to this server alone.</p>}
        {model && <Conversation model={model} lock={setProblem} />}
        {locked && <KeyForm wrong={sessionStorage.getItem(KEY) !== null} enter={enter} />}
        {loading && <p class="waiting" role="status">The model is being loaded…</p>}
        {problem !== undefined && !locked && !loading && <p class="problem" role="alert">{words(problem)}</p>}
      </article>
    </main>
  );
}

render(<Page />, document.getElementById("chat")!);
