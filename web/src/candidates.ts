/** What a few recipes make of the model. */

export interface Candidate {
  name: string;
  bytes: number;
  bits_per_weight: number;
  formats: Record<string, number>; // weights in each
  fallbacks: string[];
}

export interface Candidates {
  unavailable: string; // why the model cannot run here; the rest is then missing
  original: { format: string; bits_per_weight: number; bytes: number; quantized: boolean };
  recipes: Candidate[];
}

/** The recipe to begin with: of those there are, one of about four bits. */
export function usual(recipes: Candidate[]): string {
  return (recipes.find(({ name }) => name === "q4_0") ?? recipes[0]).name;
}
