/** What the reader has set, kept in the address, so that a view can be linked: #chapter?name=value&… */
import { signal } from "@preact/signals";

export interface Place {
  chapter: string;
  params: Record<string, string>;
}

const WAIT = 150; // milliseconds between changes of the address: browsers refuse too many

export function parse(hash: string): Place {
  const [chapter, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  return { chapter, params: Object.fromEntries(new URLSearchParams(query)) };
}

export function address(chapter: string, params: Record<string, string> = {}): string {
  const query = new URLSearchParams(params).toString();
  return `#${chapter}${query && `?${query}`}`;
}

export const place = signal<Place>(parse(location.hash));
addEventListener("hashchange", () => (place.value = parse(location.hash)));

let waiting = 0;

function write(): void {
  clearTimeout(waiting);
  waiting = window.setTimeout(() => {
    history.replaceState(null, "", address(place.value.chapter, place.value.params));
  }, WAIT);
}

type Value = number | string | boolean;

function read(text: string | undefined, initial: Value): Value {
  if (text === undefined) return initial;
  if (typeof initial === "boolean") return text === "1";
  if (typeof initial === "string") return text;
  const number = Number(text);
  return text !== "" && Number.isFinite(number) ? number : initial;
}

/** A named value of this chapter that lives in the address: [value, set]. A text that `allowed` lacks counts as the
 * initial one, and so does a number that is none. */
export function useParam(name: string, initial: number): [number, (value: number) => void];
export function useParam(name: string, initial: boolean): [boolean, (value: boolean) => void];
export function useParam<T extends string>(name: string, initial: T, allowed: readonly T[]): [T, (value: T) => void];
export function useParam(name: string, initial: string): [string, (value: string) => void];
export function useParam(name: string, initial: Value, allowed?: readonly Value[]): [Value, (value: never) => void] {
  const found = read(place.value.params[name], initial);
  const set = (value: Value) => {
    const { [name]: _, ...params } = place.value.params;
    const text = typeof value === "boolean" ? (value ? "1" : "0") : String(value);
    place.value = { ...place.value, params: value === initial ? params : { ...params, [name]: text } };
    write();
  };
  return [allowed && !allowed.includes(found) ? initial : found, set];
}
