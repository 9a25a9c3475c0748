/** The choice between recipes, and what the original is. */
import type { Candidate, Candidates } from "../candidates";
import { bytes, percent } from "../numbers";
import { Select } from "./controls";

export function RecipeChoice({ recipes, value, onChange }: { recipes: Candidate[]; value: string; onChange: (name: string) => void }) {
  const options = recipes.map((one) => ({ value: one.name, label: `${one.name}: ${one.bits_per_weight.toFixed(2)} bits per weight` }));
  return <Select id="recipe" label="Quantized by the recipe" options={options} value={value} onChange={onChange} />;
}

/** What "the original" is on this page, and what the recipe really does to it. */
export function Origin({ original, recipe }: { original: Candidates["original"]; recipe: Candidate }) {
  const total = Object.values(recipe.formats).reduce((a, b) => a + b, 0);
  const shares = Object.entries(recipe.formats).filter(([, n]) => n > total / 200).map(([name, n]) => `${percent(n / total, 0)} ${name}`);
  return (
    <p class="aside">
      {original.quantized
        ? `The original here is itself quantized: most of its weights are ${original.format}, ${original.bits_per_weight.toFixed(2)} bits each on average. What you see is what a second quantization adds. `
        : `The original is the file as given, in ${original.format}. `}
      {recipe.name} takes {bytes(recipe.bytes)} instead of {bytes(original.bytes)}: {shares.join(", ")}.
      {recipe.fallbacks.length > 0 && ` Where its format does not fit the rows, another stands in (${recipe.fallbacks[0]}).`}
    </p>
  );
}
