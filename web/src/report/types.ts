/** What the views `evaluation`, `comparison` and `horizon` of bitwright give, as far as the pages show it. */

export interface Interval {
  mean: number;
  low: number | null;
  high: number | null;
  clusters?: number;
  of?: string;
}

export interface Survival {
  survival: [number, number][];
  band: [number, number | null, number | null][];
  events: number;
  tie?: number;
}

export interface Side {
  text: string;
  kl: number;
  candidate: [string, number][];
  reference?: [string, number][];
}

export interface Evaluation {
  headline: string;
  words?: string[];
  model: { name: string; sha256: string; file_bytes: number; bits_per_weight: number };
  about?: Record<string, string | number>;
  warnings: string[];
  tokens_scored: number;
  context: number;
  chunks: number;
  perplexity: { mean: number };
  base_perplexity: { mean: number };
  log_perplexity_ratio: Interval;
  kl_divergence: Interval & { quantiles: [number, number][]; storage_error: number };
  same_top1_interval: Interval;
  flips: { right_to_wrong: Interval; wrong_to_right: Interval };
  bits_per_byte: Interval;
  noise_floor: null | { kl_divergence: number; verdict: string; variations: { name: string; kl_divergence: number; same_top1: number; tokens: number }[] };
  statistics: { name: string; value: number | null; error: number | null; unit: string }[];
  attribution: { kind: string; name: string; bytes: number | null; divergence: Interval }[];
  first_divergence?: Survival;
  free_running?: {
    examples: { step: number; before: string; reference: string; candidate: string }[];
    kl_by_horizon: ({ first: number; last: number } & Record<"reference_path" | "own_path", { value: number; low: number | null; high: number | null }>)[];
    amplification: { value: number; low: number | null; high: number | null };
  };
  heat?: { chunk: number; before: string; tokens: Side[] };
}

export interface Contender extends Partial<Evaluation> {
  model: Evaluation["model"];
  is_reference: boolean;
  bits_per_byte: Interval;
  tokens_per_second: number;
  slowest: number;
  fastest: number;
}

export interface Comparison {
  headline: string;
  words: string[];
  measure: "KL divergence" | "bits per byte";
  models: Contender[];
  pairs: { first: string; second: string; verdict: string; difference: Interval }[];
  front: { bytes: string[]; speed: string[] };
  about: Record<string, string | number>;
}

export interface Part {
  identical: Interval;
  aligned: Interval;
  kl_divergence: Interval;
  same_top1: { mean: number };
  first_divergence: Survival;
  floors: (Part & { name: string })[];
  margins: { near_ties: number; below: { nats: number; partings: number | null; steps: number | null }[] };
}

export interface Horizon {
  headline: string;
  words?: string[];
  model: Evaluation["model"];
  warnings?: string[];
  about?: Record<string, string | number>;
  suite: { name: string; prompts: number; steps: number };
  horizon: Record<string, Part>;
  endings: { what: string; places: number; asked: number; original: Interval; candidate: Interval; difference: Interval; ends: Interval }[];
}

export type Report = Evaluation | Comparison | Horizon;

export const isComparison = (r: Report): r is Comparison => "models" in r;
export const isHorizon = (r: Report): r is Horizon => "horizon" in r;
