/** Questions that the server answers while the reader waits; an exported site has no server, and shows what was
 * recorded. */
import { useEffect, useState } from "preact/hooks";

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
  const [state, set] = useState<Answer<T>>({ waiting: false });
  const text = question && JSON.stringify(question);
  useEffect(() => {
    if (text === null) return set({ waiting: false });
    const gone = new AbortController();
    set(({ value }) => ({ value, waiting: true }));
    const timer = setTimeout(() => {
      post(name, JSON.parse(text), gone.signal)
        .then((response) => response.json())
        .then(
          (value) => set({ value, waiting: false }),
          (error) => gone.signal.aborted || set({ error: error instanceof Error ? error.message : String(error), waiting: false }),
        );
    }, PAUSE);
    return () => (clearTimeout(timer), gone.abort());
  }, [name, text]);
  return state;
}
