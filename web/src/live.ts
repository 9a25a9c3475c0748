/** Questions that the server answers while the reader waits; an exported site has no server, and shows what was
 * recorded. */
import { useEffect, useRef, useState } from "preact/hooks";
import { events } from "./events";

const PAUSE = 350; // milliseconds without typing before a question is sent

async function post(name: string, question: unknown, signal: AbortSignal): Promise<Response> {
  const response = await fetch(`live/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(question),
    signal,
  });
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new Error(said.error ?? `${response.status} ${response.statusText}`);
}

export interface Answer<T> {
  value?: T; // the latest answer; it stays while the next is on its way
  error?: string;
  waiting: boolean;
}

/** The answer to a question, asked anew when it changes and the reader pauses; null asks nothing. */
export function useAnswer<T>(name: string, question: object | null): Answer<T> {
  const [{ value, error, of }, set] = useState<{ value?: T; error?: string; of: string | null }>({ of: null });
  const text = question && JSON.stringify(question);
  useEffect(() => {
    if (text === null) return set({ of: null });
    const gone = new AbortController();
    const timer = setTimeout(() => {
      post(name, JSON.parse(text), gone.signal)
        .then((response) => response.json())
        .then(
          (value) => set({ value, of: text }),
          (error) => gone.signal.aborted || set({ error: error instanceof Error ? error.message : String(error), of: text }),
        );
    }, PAUSE);
    return () => (clearTimeout(timer), gone.abort());
  }, [name, text]);
  const waiting = of !== text;
  return { value, error: waiting ? undefined : error, waiting };
}

export interface Stream<T> {
  items: T[];
  error?: string;
  running: boolean;
}

/** Items that the server sends one by one: [what has come, ask, stop]. A new question, or leaving the page, ends the
 * one before. */
export function useStream<T>(name: string): [Stream<T>, (question: object) => void, () => void] {
  const [state, set] = useState<Stream<T>>({ items: [], running: false });
  const current = useRef<AbortController | null>(null);
  const stop = () => {
    current.current?.abort();
    current.current = null;
    set(({ items, error }) => ({ items, error, running: false }));
  };
  useEffect(() => () => current.current?.abort(), []);
  const ask = (question: object) => {
    current.current?.abort();
    const own = (current.current = new AbortController());
    set({ items: [], running: true });
    read<T>(name, question, own.signal, (item) => own.signal.aborted || set(({ items }) => ({ items: [...items, item], running: true }))).then(
      () => own.signal.aborted || set(({ items }) => ({ items, running: false })),
      (error) => own.signal.aborted || set(({ items }) => ({ items, running: false, error: error instanceof Error ? error.message : String(error) })),
    );
  };
  return [state, ask, stop];
}

/** Reads server-sent events from the answer to a question. */
async function read<T>(name: string, question: object, signal: AbortSignal, take: (item: T) => void): Promise<void> {
  const response = await post(name, question, signal);
  for await (const data of events(response)) take(JSON.parse(data));
}
