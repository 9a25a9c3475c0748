/** Text as the model reads it: token by token. */

/** A token made visible: its leading space and line ends are shown. */
export function visible(text: string): string {
  return text === "" ? "∅" : text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replace(/^ +| +$/g, (run) => "␣".repeat(run.length));
}

interface TokensProps {
  label: string;
  tokens: string[];
  chosen?: number; // which is marked
  choose?: (index: number) => void; // on a click; there is a slider for the keyboard
  look?: (index: number) => string | undefined; // the class of each
}

/** Tokens in a row that folds. */
export function Tokens({ label, tokens, chosen, choose, look }: TokensProps) {
  return (
    <p class={choose ? "tokens choosable" : "tokens"} role="group" aria-label={label}>
      {tokens.map((token, index) => (
        <span
          key={index}
          class={`token ${look?.(index) ?? ""}${index === chosen ? " chosen" : ""}`}
          aria-current={index === chosen ? "true" : undefined}
          onClick={choose && (() => choose(index))}
        >
          {visible(token)}
        </span>
      ))}
    </p>
  );
}
