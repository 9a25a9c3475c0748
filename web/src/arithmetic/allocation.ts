/** One format for each tensor, within a number of bytes, at the least cost. Python finds the exact optimum
 * (bitwright.fit.allocation); this finds one within a hair of it, fast enough for a slider: a test says how near.
 *
 * A price per byte decides each tensor by itself: it takes the format of least cost + price · bytes. As the price falls,
 * tensors upgrade one by one, the upgrade that saves most per byte first. Where the next one does not fit, a smaller one
 * may; and in the end what is left of the budget buys whatever single change gains most. */

export interface Choices {
  bytes: number[][]; // (tensors, formats); 0: cannot be used
  cost: (number | null)[][]; // null: cannot be used
}

export const usable = (c: Choices, row: number, level: number): boolean => c.bytes[row][level] > 0 && c.cost[row][level] !== null;

export const bytesOf = (c: Choices, levels: number[]): number => levels.reduce((sum, level, row) => sum + c.bytes[row][level], 0);

/** The cost of a choice; NaN if one of its formats was not measured. */
export const costOf = (c: Choices, levels: number[]): number => levels.reduce((sum, level, row) => sum + (c.cost[row][level] ?? NaN), 0);

/** The formats of a row that some price could choose, from the smallest: the lower convex hull. */
function hull(c: Choices, row: number): number[] {
  const own = c.bytes[row].map((_, level) => level).filter((level) => usable(c, row, level));
  own.sort((a, b) => c.bytes[row][a] - c.bytes[row][b] || c.cost[row][a]! - c.cost[row][b]!);
  const kept: number[] = [];
  const gain = (a: number, b: number) => (c.cost[row][a]! - c.cost[row][b]!) / (c.bytes[row][b] - c.bytes[row][a]);
  for (const level of own) {
    if (kept.length && c.cost[row][level]! >= c.cost[row][kept[kept.length - 1]]!) continue;
    while (kept.length > 1 && gain(kept[kept.length - 2], kept[kept.length - 1]) <= gain(kept[kept.length - 1], level)) kept.pop();
    kept.push(level);
  }
  return kept;
}

export interface Prepared {
  hulls: number[][]; // of every tensor
  steps: { row: number; to: number; more: number }[]; // the upgrades of all tensors, those that save most per byte first
  large: number[]; // the tensors whose upgrades are too coarse to come in that order: all their formats are tried
}

const LARGE = 2;

export function upgrades(c: Choices): Prepared {
  const steps: { row: number; to: number; more: number; gain: number }[] = [];
  const hulls = c.bytes.map((_, row) => hull(c, row));
  hulls.forEach((own, row) => {
    for (let n = 1; n < own.length; n++) {
      const more = c.bytes[row][own[n]] - c.bytes[row][own[n - 1]];
      steps.push({ row, to: own[n], more, gain: (c.cost[row][own[n - 1]]! - c.cost[row][own[n]]!) / more });
    }
  });
  steps.sort((a, b) => b.gain - a.gain);
  const size = (row: number) => c.bytes[row][hulls[row][hulls[row].length - 1]];
  const large = hulls.map((_, row) => row).sort((a, b) => size(b) - size(a)).slice(0, LARGE);
  return { hulls, steps, large };
}

/** The choice of least cost found within `budget` bytes; null if none fits. `quick`: without the last exchanges. */
export function allocate(c: Choices, budget: number, prepared = upgrades(c), quick = false): number[] | null {
  let found: number[] | null = null;
  for (const fixed of combinations(prepared.large.map((row) => prepared.hulls[row]))) {
    const levels = greedy(c, budget, prepared, fixed);
    if (levels && (!found || costOf(c, levels) < costOf(c, found))) found = levels;
  }
  if (!found) return null;
  if (quick) return found;
  let left = budget - bytesOf(c, found);
  for (let change = best(c, found, left); change; change = best(c, found, left)) {
    for (const [row, to] of change) {
      left -= c.bytes[row][to] - c.bytes[row][found[row]];
      found[row] = to;
    }
  }
  return found;
}

/** The upgrades that fit, in their order, with the formats of the large tensors given. */
function greedy(c: Choices, budget: number, { hulls, steps, large }: Prepared, fixed: number[]): number[] | null {
  const levels = hulls.map((own) => own[0]);
  const stuck = new Set(large); // tensors one of whose upgrades did not fit: the later ones build on it
  large.forEach((row, n) => (levels[row] = fixed[n]));
  let left = budget - bytesOf(c, levels);
  if (left < 0) return null;
  for (const { row, to, more } of steps) {
    if (stuck.has(row)) continue;
    if (more <= left) (levels[row] = to), (left -= more);
    else stuck.add(row);
  }
  return levels;
}

/** One of each list, in all ways. */
function combinations(lists: number[][]): number[][] {
  return lists.reduce<number[][]>((all, own) => all.flatMap((some) => own.map((one) => [...some, one])), [[]]);
}

/** The change of one tensor, or of two at once, that gains most and fits; null if none gains. */
function best(c: Choices, levels: number[], left: number): [number, number][] | null {
  const moves: { row: number; to: number; more: number; gain: number }[] = [];
  levels.forEach((now, row) =>
    c.bytes[row].forEach((size, to) => {
      if (to !== now && usable(c, row, to)) moves.push({ row, to, more: size - c.bytes[row][now], gain: c.cost[row][now]! - c.cost[row][to]! });
    }),
  );
  const freeing = moves.filter(({ more, gain }) => more < 0 && gain > -Infinity).sort((a, b) => a.gain / a.more - b.gain / b.more).slice(0, 40);
  let found: [number, number][] | null = null;
  let most = 1e-15;
  for (const move of moves) {
    if (move.gain <= most) continue;
    if (move.more <= left) (most = move.gain), (found = [[move.row, move.to]]);
    else
      for (const other of freeing)
        if (other.row !== move.row && move.more + other.more <= left && move.gain + other.gain > most) {
          most = move.gain + other.gain;
          found = [[move.row, move.to], [other.row, other.to]];
        }
  }
  return found;
}

/** Every tensor in one format, or, where that cannot be used, in the next smaller one that can, else the smallest. */
export function uniform(c: Choices, level: number): number[] {
  return c.bytes.map((own, row) => {
    for (let at = level; at >= 0; at--) if (usable(c, row, at)) return at;
    return own.findIndex((_, at) => usable(c, row, at));
  });
}
