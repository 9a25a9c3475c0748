/** The chapters in reading order. Each is a module of its own, loaded when it is opened. */
import type { FunctionComponent } from "preact";

export interface Entry {
  id: string; // in the address, and the file's name
  title: string;
  about: string; // one line for the table of contents
  load: () => Promise<{ default: FunctionComponent }>;
}

const entry = (id: string, title: string, about: string, load: Entry["load"]): Entry => ({ id, title, about, load });

export const CHAPTERS: Entry[] = [
  entry("parameters", "Parameters", "What a model is made of", () => import("./chapters/parameters")),
  entry("bits", "Bits", "What a handful of bits can say", () => import("./chapters/bits")),
  entry("weights", "Your weights", "Most are alike; a few decide", () => import("./chapters/weights")),
  entry("rounding", "Rounding", "Grids of codes, scales and the zero-point", () => import("./chapters/rounding")),
  entry("blocks", "Blocks and outliers", "One large weight, and how far it reaches", () => import("./chapters/blocks")),
  entry("anatomy", "Anatomy of a block", "Which bit serves which weight", () => import("./chapters/anatomy")),
  entry("dequantize", "Dequantize on the fly", "One block, multiplied in slow motion", () => import("./chapters/dequantize")),
  entry("chip", "What the chip does", "Why smaller is faster, and when it is not", () => import("./chapters/chip")),
  entry("codes", "Choosing codes well", "The nearest code is not always the best", () => import("./chapters/codes")),
  entry("next-token", "Next token", "What both models expect, and how far apart they are", () => import("./chapters/next-token")),
  entry("compounding", "Compounding", "One different token, and another text", () => import("./chapters/compounding")),
  entry("allocation", "Who gets the bits", "A budget that divides itself", () => import("./chapters/allocation")),
  entry("machines", "Which model, which machine", "Memory, speed, price", () => import("./chapters/machines")),
  entry("damage", "Damage report", "What a file lost, in full", () => import("./chapters/damage")),
];
