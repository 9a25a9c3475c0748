/** The frame of a chapter: heading, opening words, and figures with captions. */
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

export function Chapter({ title, lead, children }: { title: string; lead: ComponentChildren; children: ComponentChildren }) {
  return (
    <article>
      <h1>{title}</h1>
      <p class="lead">{lead}</p>
      {children}
    </article>
  );
}

interface FigureProps {
  title: string;
  caption?: ComponentChildren;
  wide?: boolean; // may be wider than the text
  children: ComponentChildren;
}

/** Something to touch, with its numbers beside it. */
export function Figure({ title, caption, wide, children }: FigureProps) {
  const id = useId();
  return (
    <figure class={wide ? "wide" : undefined} aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {children}
      {caption && <figcaption>{caption}</figcaption>}
    </figure>
  );
}

/** Controls in a row that folds. */
export function Controls({ children }: { children: ComponentChildren }) {
  return <div class="controls">{children}</div>;
}

/** Named figures, such as an error and a size. `role` gives the colour of what is measured. */
export function Readout({ items }: { items: { label: string; value: ComponentChildren; role?: Role; id?: string }[] }) {
  return (
    <dl class="readout" aria-live="polite">
      {items.map(({ label, value, role, id }) => (
        <div key={label} class={role}>
          <dt>{label}</dt>
          <dd data-value={id}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The four colours with a meaning: stored integer, scale, error, reference. */
export type Role = "code" | "scale" | "error" | "reference";

/** A word in the colour of what it names. */
export function Term({ role, children }: { role: Role; children: ComponentChildren }) {
  return <span class={`term ${role}`}>{children}</span>;
}

/** Why a chapter that needs the inputs of a layer shows none. */
export function NoInputs({ problem }: { problem: string | null }) {
  return <p class="problem">This chapter runs the model to see the inputs of a layer, and it cannot run this one: {problem}.</p>;
}
