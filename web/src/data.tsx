/** What Python computed: each is one JSON document, from the server or from a file of an exported site. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

const asked = new Map<string, Promise<unknown>>();

/** The document `name`, asked for once. */
export function load<T>(name: string): Promise<T> {
  let found = asked.get(name);
  if (!found) {
    found = fetch(`data/${name.split("/").map(encodeURIComponent).join("/")}.json`).then(async (response) => {
      if (response.ok) return response.json();
      const said = await response.json().catch(() => ({}));
      throw new Error(said.error ?? `${response.status} ${response.statusText}`);
    });
    found.catch(() => asked.delete(name));
    asked.set(name, found);
  }
  return found as Promise<T>;
}

export interface Loaded<T> {
  value?: T;
  error?: string;
  busy: boolean; // it is on its way
}

/** The document `name`: nothing while it is on its way, then its value or what went wrong. While another is loading,
 * the last one stays. */
export function useData<T>(name: string): Loaded<T> {
  const [{ of, ...state }, set] = useState<{ value?: T; error?: string; of?: string }>({});
  useEffect(() => {
    let current = true;
    load<T>(name).then(
      (value) => current && set({ value, of: name }),
      (error) => current && set({ error: error instanceof Error ? error.message : String(error), of: name }),
    );
    return () => void (current = false);
  }, [name]);
  return { ...state, busy: of !== name };
}

/** Shows what `children` make of a document once it is here. `wait` says what is being computed, in a corner if another
 * document is there meanwhile. */
export function Data<T>({ name, wait, children }: { name: string; wait?: string; children: (value: T) => ComponentChildren }) {
  const { value, error, busy } = useData<T>(name);
  if (error !== undefined) return <p class="problem" role="alert">{error}</p>;
  if (value === undefined) return <p class="waiting" role="status">{wait ?? "Loading"}…</p>;
  return (
    <>
      {children(value)}
      {busy && <p class="waiting aloft" role="status">{wait ?? "Loading"}…</p>}
    </>
  );
}

export interface Site {
  model: { name: string; architecture: string; parameters: number; bits_per_weight: number };
  live: boolean; // a server answers questions; else the pages show what was recorded
  report: boolean;
  history: boolean;
}
