/** Everything that the pages compute themselves, under one name for the tests. */
export * from "./affine";
export * as allocation from "./allocation";
export * from "./elements";
export * as network from "./network";
export * as words from "../report/words";
