/** Two normal distributions: the first has mean 0 and deviation 1. */

export const density = (x: number, mean: number, deviation: number): number =>
  Math.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * Math.sqrt(2 * Math.PI));

/** KL(N(0, 1) || N(mean, deviation²)) in nats. */
export const divergence = (mean: number, deviation: number): number =>
  Math.log(deviation) + (1 + mean ** 2) / (2 * deviation ** 2) - 0.5;

/** The same the other way round: KL(N(mean, deviation²) || N(0, 1)). */
export const reversed = (mean: number, deviation: number): number =>
  -Math.log(deviation) + (deviation ** 2 + mean ** 2) / 2 - 0.5;

/** What the point x adds to the first: p · ln(p / q). */
export const added = (x: number, mean: number, deviation: number): number =>
  density(x, 0, 1) * (Math.log(deviation) + ((x - mean) / deviation) ** 2 / 2 - x ** 2 / 2);
